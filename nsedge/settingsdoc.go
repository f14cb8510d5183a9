package nsedge

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"gatewayd/radio"
)

// bucketRadio holds a device's settings and orders where they are not those
// after its activation, by DevEUI.
const bucketRadio = "radio"

// radioDoc is how settings and orders are stored.
type radioDoc struct {
	Version  int       `json:"v"`
	Gen      byte      `json:"gen"` // of the session
	Settings settings  `json:"set"`
	Open     []*order  `json:"open,omitempty"`
	Refused  []refused `json:"refused,omitempty"`
	Rates    uint16    `json:"rates,omitempty"`
	Powers   uint16    `json:"powers,omitempty"`
	Masks    int       `json:"masks,omitempty"`
	NACKs    int       `json:"nacks,omitempty"`
}

const radioDocVersion = 1

func (s *session) encodeRadio() ([]byte, error) {
	doc := radioDoc{Version: radioDocVersion, Gen: s.gen, Settings: s.settings}
	if o := s.orders; o != nil {
		doc.Open, doc.Refused = o.open, o.refused
		doc.Rates, doc.Powers, doc.Masks, doc.NACKs = o.rates, o.powers, o.plainMask, o.nacks
	}
	return json.Marshal(doc)
}

func decodeRadio(b []byte) (doc radioDoc, err error) {
	if err := json.Unmarshal(b, &doc); err != nil {
		return doc, fmt.Errorf("radio settings: %w", err)
	}
	doc.Open = slices.DeleteFunc(doc.Open, func(x *order) bool { return x == nil || len(x.Bytes) == 0 })
	if doc.Version != radioDocVersion {
		return doc, fmt.Errorf("radio settings: version %d is not known", doc.Version)
	}
	return doc, nil
}

// adoptRadio gives a session what was stored of it. Orders may have been on
// the air.
func (s *session) adoptRadio(doc radioDoc) {
	s.settings = doc.Settings
	s.orders = &orders{open: doc.Open, refused: doc.Refused, learnt: learnt{doc.Rates, doc.Powers, doc.Masks, doc.NACKs}}
	for _, x := range doc.Open {
		x.saved, x.sent, x.Tries = true, true, max(x.Tries, 1)
		for _, set := range setups() {
			x.urgent = x.urgent || plainCID(set.cid) == x.CID && set.urgent
		}
	}
}

// loadRadio reads the settings that differ from those after the activation.
func (e *Edge) loadRadio() error {
	return e.cfg.Store.Each(bucketRadio, func(k, v []byte) error {
		doc, err := decodeRadio(v)
		if err != nil {
			return fmt.Errorf("device %x: %w", k, err)
		}
		if len(k) != len(radio.EUI64{}) || e.byEUI[radio.EUI64(k)] == nil {
			return nil
		}
		for _, s := range e.byEUI[radio.EUI64(k)].sessions() {
			if s.gen == doc.Gen {
				s.adoptRadio(doc)
			}
		}
		return nil
	})
}

// saveSettings makes settings and orders durable, off the owner's goroutine.
func (e *Edge) saveSettings(s *session) {
	o := s.ordering()
	if o.saving {
		return // again when that is done
	}
	doc, err := s.encodeRadio()
	if err != nil {
		e.log.Warn("radio settings can't be encoded", "device", s.dev.spec.DevEUI, "err", err)
		return
	}
	eui, covered := s.dev.spec.DevEUI, slices.Clone(o.open)
	o.saving = e.background(func(context.Context) func() {
		err := e.putRadio(eui, doc)
		return func() { e.settingsSaved(s, covered, err) }
	})
	if o.saving {
		o.dirty = false
	}
}

// putRadio writes the document of a device that still exists.
func (e *Edge) putRadio(eui radio.EUI64, doc []byte) error {
	e.docs.Lock()
	defer e.docs.Unlock()
	if registered, err := e.cfg.Store.Get(bucketDevices, eui[:]); err != nil || registered == nil {
		return err
	}
	return e.cfg.Store.Put(bucketRadio, eui[:], doc)
}

// settingsSaved lets go what waited for the disk.
func (e *Edge) settingsSaved(s *session, covered []*order, err error) {
	o := s.orders
	o.saving = false
	if err != nil {
		o.dirty = true // at the next uplink
		e.log.Warn("radio settings can't be recorded", "device", s.dev.spec.DevEUI, "err", err)
		return
	}
	for _, x := range covered {
		x.saved = true
	}
	if o.dirty {
		e.saveSettings(s)
		return
	}
	o.blocking = false
	if s.dev.session() == s {
		e.askNow(s.dev)
	}
	if s.dev.traffic == nil || s.dev.win == nil || e.running == nil {
		return
	}
	if w := s.dev.win; w.s == s && w.waiting != nil && !w.holding && e.answerable(w) {
		e.flush(w)
	}
}
