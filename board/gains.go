package board

import "gatewayd/radio"

// steps makes gain table entries of consecutive power indices, one dB each.
func steps(from radio.DBm, pa, index uint8, n int) []Gain {
	var g []Gain
	for i := range n {
		g = append(g, Gain{from + radio.DBm(i), pa, index + uint8(i)})
	}
	return g
}

// semtechGains is the table of the vendor's reference design for 868 and 915
// MHz, which most boards copy.
func semtechGains() []Gain {
	return []Gain{
		{12, 0, 15}, {13, 0, 16}, {14, 0, 17}, {15, 0, 19}, {16, 0, 20}, {17, 0, 22},
		{18, 1, 1}, {19, 1, 2}, {20, 1, 3}, {21, 1, 4}, {22, 1, 5}, {23, 1, 6},
		{24, 1, 7}, {25, 1, 9}, {26, 1, 11}, {27, 1, 14},
	}
}

// rakEuropeGains is RAKwireless's table for EU868, IN865 and RU864.
func rakEuropeGains() []Gain {
	return append(steps(12, 1, 4, 11),
		Gain{23, 1, 16}, Gain{24, 1, 17}, Gain{25, 1, 18}, Gain{26, 1, 19}, Gain{27, 1, 22})
}
