//go:build !race

package concentrator

const yearDays = 365
