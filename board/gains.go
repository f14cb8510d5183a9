package board

import (
	"gatewayd/concentrator"
	"gatewayd/radio"
)

// entry is one line of a gain table as the vendors write it down: dBm, power
// amplifier, power index.
type entry struct {
	power radio.DBm
	pa    int
	index uint8
}

func table(entries ...entry) []concentrator.Gain {
	gains := make([]concentrator.Gain, len(entries))
	for i, e := range entries {
		gains[i] = concentrator.Gain{Power: e.power, PA: e.pa == 1, Index: e.index}
	}
	return gains
}

// semtechGains is the table of the vendor's reference design for 868 and 915
// MHz, which most boards copy.
func semtechGains() []concentrator.Gain {
	return table(
		entry{12, 0, 15}, entry{13, 0, 16}, entry{14, 0, 17}, entry{15, 0, 19},
		entry{16, 0, 20}, entry{17, 0, 22}, entry{18, 1, 1}, entry{19, 1, 2},
		entry{20, 1, 3}, entry{21, 1, 4}, entry{22, 1, 5}, entry{23, 1, 6},
		entry{24, 1, 7}, entry{25, 1, 9}, entry{26, 1, 11}, entry{27, 1, 14},
	)
}

// rakEuropeGains is RAKwireless's table for EU868, IN865 and RU864.
func rakEuropeGains() []concentrator.Gain {
	return table(
		entry{12, 1, 4}, entry{13, 1, 5}, entry{14, 1, 6}, entry{15, 1, 7},
		entry{16, 1, 8}, entry{17, 1, 9}, entry{18, 1, 10}, entry{19, 1, 11},
		entry{20, 1, 12}, entry{21, 1, 13}, entry{22, 1, 14}, entry{23, 1, 16},
		entry{24, 1, 17}, entry{25, 1, 18}, entry{26, 1, 19}, entry{27, 1, 22},
	)
}
