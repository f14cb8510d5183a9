package board

import (
	"fmt"
	"strings"
)

// pageIntro begins docs/boards.md.
const pageIntro = `# Boards

This page is made of the board files (` + "`board/boards/*.toml`" + `) by a test; to change it, change them and run
` + "`go test ./board -run TestBoardsPage -update`" + `.

` + "`concentrator.board`" + ` takes a name of this page, or the absolute path of a file of your own. Such a file needs to hold only
what differs:

    base = "rak2287"        # or none, and then everything
    title = "RAK2287 on our own carrier"
    reset = 25
    gnss_reset = 0          # this board has none

` + "`gatewayd board show NAME`" + ` prints a board with all its keys, ` + "`gatewayd board show -c FILE`" + ` the effective one. What you set
always counts; nothing is silently ignored: an unknown key is an error with its line. The package documentation of
` + "`board`" + ` tells what each key means.

GPIO numbers are BCM numbers. The lines are driven through the kernel's GPIO character device; the controller is found by
its label (` + "`pinctrl-bcm2835`, `pinctrl-bcm2711`, `pinctrl-rp1`" + `), so that it is the right one on a Pi 3, Zero 2 W, 4, CM4 and 5,
under any kernel. *None of these boards has been tried on hardware by this project yet*: the facts are those of the
sources that each names. A wrong reset line is found at the start: the driver proves the reset and refuses a chip that
was not reset.

What a Pi needs in ` + "`config.txt`" + `: ` + "`dtparam=spi=on`" + `; ` + "`dtparam=i2c_arm=on`" + ` for the thermometer; ` + "`enable_uart=1`" + ` and no serial
console for a satellite receiver, with ` + "`dtoverlay=disable-bt`" + ` on a Pi 3 or Zero 2 W; ` + "`dtoverlay=spi0-1cs`" + ` where something else
uses GPIO7. ` + "`gatewayd doctor`" + ` says which of these is missing.

## Not here

- **SX1301 and SX1308 boards**: IMST iC880A and iC980A, RAK831, RAK2245, RAK2246, RHF0M301, Pi Supply LoRa gateway HAT,
  Dragino PG1301 and PG1308, MikroTik R11e-LR8 and -LR9. Another chip; this driver is for the SX1302 and SX1303.
- **2.4 GHz boards** (SX1280): RAK5148, MikroTik R11e-LR2.
- **Nebra, COTX, Finestra, Panther, Syncrobit, Bobcat**: too little is published to be trusted with a transmitter. A board file with
  the reset line and ` + "`base = \"semtech-corecell\"`" + ` is the way to try one.
`

// boardsPage is docs/boards.md: every board with its facts and their sources.
func boardsPage() (string, error) {
	var p strings.Builder
	p.WriteString(pageIntro)
	p.WriteString("\n## All of them\n\n| name | board | chip | port | reset | power | SX1261 reset | satellites |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	var details strings.Builder
	for _, name := range Names() {
		b, err := Lookup(name)
		if err != nil {
			return "", err
		}
		inCard := func(pin Pin) string {
			if pin == 0 && b.USB() {
				return "in the card"
			}
			return pin.String()
		}
		gnss := b.GNSS.Kind
		if gnss == "" {
			gnss = "none"
		}
		fmt.Fprintf(&p, "| [`%s`](#%s) | %s | %s | `%s` | %s | %s | %s | %s |\n", name, name, b.Title, b.Chip, b.SPI,
			inCard(b.Reset), inCard(b.PowerEnable), inCard(b.SX1261Reset), gnss)
		b.describe(&details)
	}
	p.WriteString(details.String())
	return p.String(), nil
}

// describe is a board's own section.
func (b Board) describe(p *strings.Builder) {
	fmt.Fprintf(p, "\n## %s\n\n%s.\n\n", b.Name, b.Title)
	for _, n := range b.Notes {
		fmt.Fprintf(p, "- %s\n", n)
	}
	fmt.Fprintf(p, "- Radios: two %s, clock from radio %c; SPI at %v.\n", b.Radio, 'A'+b.ClockSource, b.SPIClock())
	if b.FullDuplex {
		fmt.Fprintf(p, "- Full duplex; the converter for the amplifier's gain is reset by %v.\n", b.DACReset)
	}
	if b.SX1261 != "" {
		fmt.Fprintf(p, "- An SX1261 is on `%s`, where it is fitted (`concentrator.sx1261_spi`).\n", b.SX1261)
	}
	if b.GNSSReset != 0 {
		fmt.Fprintf(p, "- %v resets the satellite receiver; it is left alone.\n", b.GNSSReset)
	}
	if b.GNSS.Kind != "" {
		fmt.Fprintf(p, "- Satellite receiver: %s on `%s`.\n", b.GNSS.Kind, b.GNSS.Device)
	}
	if len(b.Thermometers) > 0 {
		fmt.Fprintf(p, "- Thermometer: an STTS751 on `%s`, looked for at %s.\n", b.I2C, addresses(b.Thermometers))
	}
	fmt.Fprintf(p, "- Sources: %s.\n", strings.Join(b.Sources, "; "))
	for _, band := range b.Bands {
		band.describe(p, b.Radio)
	}
}

func (b Band) describe(p *strings.Builder, radio string) {
	fmt.Fprintf(p, "\n%s: %s input, RSSI offset %v dB", strings.Join(b.Names, ", "), input(radio, b.SingleInput), b.RSSIOffset)
	if b.RSSIOffsetB != nil {
		fmt.Fprintf(p, " (radio B %v dB)", *b.RSSIOffsetB)
	}
	fmt.Fprintf(p, ", temperature coefficients %v", b.RSSITemperature)
	if b.RSSITemperatureB != nil {
		fmt.Fprintf(p, " (radio B %v)", *b.RSSITemperatureB)
	}
	head, rule, row := "| dBm |", "| --- |", "| setting |"
	for _, g := range b.Gains {
		head += fmt.Sprintf(" %v |", g.DBm)
		rule += " --- |"
		if radio == "SX1250" {
			row += fmt.Sprintf(" %d.%d |", g.PA, g.Index)
		} else {
			row += fmt.Sprintf(" %d.%d.%d.%d |", g.PA, g.DAC, g.Mixer, g.Digital)
		}
	}
	form := "amplifier.index"
	if radio != "SX1250" {
		form = "amplifier.DAC.mixer.digital"
	}
	fmt.Fprintf(p, ". Settings as %s:\n\n%s\n%s\n%s\n", form, head, rule, row)
}

func input(radio string, single bool) string {
	switch {
	case radio != "SX1250":
		return "the radio's only"
	case single:
		return "single"
	}
	return "differential"
}

func addresses(list []uint16) string {
	text := make([]string, len(list))
	for i, a := range list {
		text[i] = fmt.Sprintf("0x%02X", a)
	}
	return strings.Join(text, ", ")
}
