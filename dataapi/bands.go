package dataapi

import (
	"net/http"
	"strings"
	"time"

	"gatewayd/radio"
)

// Band is a regional band as the Management API shows it.
type Band struct {
	Names    []string // the first is the specification's; clients may ask by any, in any case
	Channels []BandChannel
	// DataRates in the order of their index.
	DataRates []BandDataRate
	RX1Delay  time.Duration
	RX2Freq   radio.Hertz
	RX2Rate   int
}

// BandChannel is an uplink channel with the indexes of its data rates.
type BandChannel struct {
	Freq      radio.Hertz
	DataRates []int
}

// BandDataRate is an entry of a band's data rate table.
type BandDataRate struct {
	Index            int
	Mod              radio.Modulation
	Uplink, Downlink bool
}

type bandView struct {
	Name      string         `json:"name"`
	Names     []string       `json:"names"`
	Channels  []channelView  `json:"channels"`
	DataRates []bandRateView `json:"datarates"`
	RX1       map[string]any `json:"rx1"`
	RX2       map[string]any `json:"rx2"`
}

type channelView struct {
	Freq      float64 `json:"freq"` // MHz
	DataRates []int   `json:"datarates"`
}

type bandRateView struct {
	Index    int    `json:"index"`
	Name     string `json:"name"`
	Uplink   bool   `json:"uplink"`
	Downlink bool   `json:"downlink"`
}

func viewBand(b Band) bandView {
	v := bandView{
		Name: b.Names[0], Names: b.Names, Channels: []channelView{}, DataRates: []bandRateView{},
		RX1: map[string]any{"delay": b.RX1Delay.Seconds()},
		RX2: map[string]any{"freq": b.RX2Freq.MHz(), "datarate": b.RX2Rate},
	}
	for _, c := range b.Channels {
		v.Channels = append(v.Channels, channelView{c.Freq.MHz(), append([]int{}, c.DataRates...)})
	}
	for _, r := range b.DataRates {
		v.DataRates = append(v.DataRates, bandRateView{r.Index, shortDataRate(r.Mod), r.Uplink, r.Downlink})
	}
	return v
}

// listBands and getBand need no right: what they tell is public.
func (s *Server) listBands(c *call) (reply, error) {
	pg, err := parsePage(c.query)
	if err != nil {
		return reply{}, err
	}
	views := []bandView{}
	for _, b := range s.cfg.Bands {
		views = append(views, viewBand(b))
	}
	return listReply("bands", cut(pg, views), len(views), pg), nil
}

func (s *Server) getBand(c *call) (reply, error) {
	wanted := c.PathValue("id")
	for _, b := range s.cfg.Bands {
		for _, name := range b.Names {
			if strings.EqualFold(name, wanted) {
				return reply{http.StatusOK, map[string]bandView{"band": viewBand(b)}}, nil
			}
		}
	}
	if s.cfg.BandNamed != nil {
		if b, ok := s.cfg.BandNamed(wanted); ok {
			return reply{http.StatusOK, map[string]bandView{"band": viewBand(b)}}, nil
		}
	}
	return reply{}, notFound("there is no band %s; GET /api/%s/bands lists them", shown(wanted), apiVersion)
}
