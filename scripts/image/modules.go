//go:build modules

// Package image pins what the image is made of besides our own code: the
// kernel, the Raspberry Pi's firmware, and three of gokrazy's programs.
package image

import (
	_ "github.com/gokrazy/firmware"
	_ "github.com/gokrazy/gokrazy/cmd/dhcp"
	_ "github.com/gokrazy/gokrazy/cmd/ntp"
	_ "github.com/gokrazy/gokrazy/cmd/randomd"
	_ "github.com/gokrazy/kernel.rpi"
)
