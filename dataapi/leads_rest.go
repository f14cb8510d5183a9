package dataapi

import (
	"bytes"
	"maps"
	"net/http"
	"slices"

	"gatewayd/radio"
)

// leadView is how a lead is shown; durations in seconds.
type leadView struct {
	ID          string   `json:"id"` // of the key, session or connection; or a DevEUI
	Description string   `json:"description,omitempty"`
	Answers     uint64   `json:"answers"`
	Late        uint64   `json:"late"`
	Last        float64  `json:"last"`
	Least       float64  `json:"least"`
	Mean        float64  `json:"mean"`
	Histogram   []uint64 `json:"histogram"`
}

func (d *lead) view(id, description string) leadView {
	return leadView{
		ID: id, Description: description, Answers: d.answers, Late: d.late, Last: d.last.Seconds(), Least: d.least.Seconds(),
		Mean: d.sum.Seconds() / float64(d.answers), Histogram: slices.Clone(d.histogram),
	}
}

// getAnswers tells how early applications answer, by application and by
// device: those of the list devices, or all.
func (s *Server) getAnswers(c *call) (reply, error) {
	if !c.key.MayConnect() {
		return reply{}, errNoData
	}
	pg, err := parsePage(c.query)
	if err != nil {
		return reply{}, err
	}
	wanted, err := c.query.euis("devices")
	if err != nil {
		return reply{}, err
	}
	applications, devices := s.leads.views(wanted)
	if scope := c.key.confine(); scope != nil {
		applications = slices.DeleteFunc(applications, func(v leadView) bool { return v.ID != c.key.ID })
		devices = slices.DeleteFunc(devices, func(v leadView) bool { return !s.deviceWithin(c, scope, v.ID) })
	}
	for i := range applications {
		if key, err := s.keys.Get(applications[i].ID); err == nil {
			applications[i].Description = key.Description
		}
	}
	return reply{http.StatusOK, map[string]any{
		"applications": applications, "devices": cut(pg, devices), "buckets": leadBuckets(),
		"total": len(devices), "offset": pg.offset, "limit": pg.limit,
	}}, nil
}

// deviceWithin tells whether a confined key may know of a device.
func (s *Server) deviceWithin(c *call, scope *filter, id string) bool {
	edge, err := s.theEdge()
	if err != nil {
		return false
	}
	eui, err := radio.ParseEUI64(id)
	if err != nil {
		return false
	}
	d, err := edge.Device(c.Context(), eui)
	return err == nil && scope.about(&d)
}

// views are all applications, and those of the devices that are wanted, in
// order.
func (l *leads) views(wanted map[radio.EUI64]bool) (applications, devices []leadView) {
	applications, devices = []leadView{}, []leadView{}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range sortedKeys(l.byAS) {
		applications = append(applications, l.byAS[id].view(id, ""))
	}
	for _, eui := range slices.SortedFunc(maps.Keys(l.byUnit), func(a, b radio.EUI64) int { return bytes.Compare(a[:], b[:]) }) {
		if has(wanted, eui) {
			devices = append(devices, l.byUnit[eui].view(eui.String(), ""))
		}
	}
	return applications, devices
}
