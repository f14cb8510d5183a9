//go:build race

package nsedge

const raceEnabled = true
