//go:build race

package concentrator

const yearDays = 45 // the race detector makes a day nine times as long
