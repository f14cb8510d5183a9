package nsedge

import (
	"fmt"
	"time"

	"gatewayd/radio"
)

// meta says what an event is about; dev and s may be nil.
func (e *Edge) meta(dev *device, s *session, hash PacketHash, gateway radio.EUI64) Meta {
	m := Meta{Gateway: gateway, PacketHash: hash, Time: time.Now()}
	if dev != nil {
		m.Device, m.Application, m.Tags = dev.spec.DevEUI, dev.spec.AppEUI, dev.spec.Tags
	}
	if s != nil {
		m.DevAddr = s.addr
	}
	return m
}

// notice publishes a plain notice.
func (e *Edge) notice(level Level, code string, m Meta, message string) {
	m.Time = time.Now()
	e.tell(&Notice{Meta: m, Level: level, Code: code, Message: message})
}

// tell publishes a notice; what is about a join is remembered.
func (e *Edge) tell(n *Notice) {
	e.noteJoin(n.Level, n.Code, n.Meta, n.Message)
	e.publish(n)
}

func (e *Edge) noticef(level Level, code string, m Meta, format string, args ...any) {
	e.notice(level, code, m, fmt.Sprintf(format, args...))
}
