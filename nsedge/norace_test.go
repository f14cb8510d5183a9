//go:build !race

package nsedge

const raceEnabled = false
