package nsedge

import (
	"encoding/binary"
	"encoding/json"

	"gatewayd/nsedge/classb"
	"gatewayd/radio"
)

// moved is what is known of a device besides its registration, on its way to
// another gateway.
type moved struct {
	gen      byte
	joins    joinState
	counters []byte // as in the journal; nil without a session
	radio    []byte // settings as a radioDoc; nil are those after the activation
}

const movedVersion = 1

// encode is version, generation, and three parts, each after its length.
func (m *moved) encode() []byte {
	b := []byte{movedVersion, m.gen}
	for _, part := range [][]byte{m.joins.encode(), m.counters, m.radio} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

// decodeMoved is the inverse of encode. It trusts nothing: the bytes come
// from a file.
func (e *Edge) decodeMoved(b []byte) (*moved, error) {
	bad := invalid("state", "it is damaged, or of another version: take it from an export as it is, or leave it out (the device then has to join again)")
	r := reader{b: b}
	version := r.byte()
	m := &moved{gen: r.byte()}
	var parts [3][]byte
	for i := range parts {
		n := r.uvarint(uint64(len(b)))
		if r.failed || n > uint64(len(r.b)) {
			return nil, bad
		}
		parts[i], r.b = r.b[:n:n], r.b[n:]
	}
	if r.failed || version != movedVersion || m.gen >= joinedGen || len(r.b) > 0 || len(parts[0]) == 0 {
		return nil, bad
	}
	var err error
	if m.joins, err = decodeJoinState(parts[0]); err != nil {
		return nil, bad
	}
	for _, s := range m.joins.sessions {
		if s.gen < joinedGen || s.rxDelay > 15 || s.offset > 7 || s.rx2DR < -1 || s.rx2DR > 15 || s.keep != nil && !e.possible(s.keep) {
			return nil, bad
		}
	}
	if len(parts[1]) > 0 {
		m.counters = parts[1]
		if _, _, err := decodeState(m.counters); err != nil {
			return nil, bad
		}
	}
	if len(parts[2]) > 0 {
		if m.radio = e.checkMoved(parts[2]); m.radio == nil {
			return nil, bad
		}
	}
	return m, nil
}

// checkMoved takes the settings of a radioDoc if they are possible here, and
// leaves out the rest.
func (e *Edge) checkMoved(b []byte) []byte {
	doc, err := decodeRadio(b)
	if err != nil || !e.possible(&doc.Settings) {
		return nil
	}
	if b, err = json.Marshal(radioDoc{Version: radioDocVersion, Gen: doc.Gen, Settings: doc.Settings}); err != nil {
		return nil
	}
	return b
}

// possible tells whether a device can have these settings here.
func (e *Edge) possible(s *settings) bool {
	sends := func(f radio.Hertz) bool { _, ok := e.cfg.Region.EIRP(f); return ok }
	if s.RXDelay > 15 || s.Offset > 7 || s.RX2DR < -1 || s.RX2DR > 15 || s.MaxDuty > 15 || s.DataRate < -1 || s.DataRate > 15 ||
		s.TXPower > 15 || s.NbTrans > 15 || s.RX2Freq != 0 && !sends(s.RX2Freq) || len(s.Extra) > 16 || len(s.Down) > 16 || s.Mode != "" && s.Mode != "A" && s.Mode != "C" {
		return false
	}
	if p := s.Ping; p != nil && (p.Periodicity > classb.MaxPeriodicity || p.DR < -1 || p.DR > 15 || p.Freq != 0 && !sends(p.Freq)) {
		return false
	}
	for _, c := range s.Down {
		if c.Index < 0 || c.Index > 15 || !sends(c.Down) {
			return false
		}
	}
	return true
}

// give lets a device go on where the other gateway left off. What was heard
// since the export isn't known here.
func (m *moved) give(d *device) {
	if m == nil {
		return
	}
	if m.counters != nil {
		if c, gen, err := decodeState(m.counters); err == nil {
			d.adopt(c, gen)
		}
	}
	if m.radio != nil {
		if doc, err := decodeRadio(m.radio); err == nil {
			for _, s := range d.sessions() {
				if s.gen == doc.Gen {
					s.adoptRadio(doc)
				}
			}
		}
	}
	for _, s := range d.sessions() {
		s.doubt()
	}
}
