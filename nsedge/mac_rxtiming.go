package nsedge

import (
	"time"

	"github.com/brocaar/lorawan"
)

// rxTimingFields are those of RXTimingSetupReq (§5.7).
type rxTimingFields struct {
	Settings struct{ Del int } // seconds
}

func rxTimingSetupReq() macForm {
	return form("RXTimingSetupReq", 1, func(p lorawan.RXTimingSetupReqPayload) any {
		var f rxTimingFields
		f.Settings.Del = int(p.Delay)
		return f
	})
}

// rxTimingSetup gives the device the delay of RX1 that it was registered with.
func rxTimingSetup() setup {
	return setup{
		cid: lorawan.RXTimingSetupReq, urgent: true, sticky: true, windows: true,
		want: func(e *Edge, s *session) []byte {
			want := e.rxDelay(s.dev)
			if want == e.delayOf(s) {
				return nil
			}
			return macBytes(lorawan.RXTimingSetupReq, &lorawan.RXTimingSetupReqPayload{Delay: want})
		},
		answered: func(_ *Edge, s *session, commands []byte, _ [][]byte) string {
			s.RXDelay = max(commands[1]&15, 1)
			return "" // RXTimingSetupAns can't say no
		},
	}
}

// delayOf is the delay of RX1 that the device uses now, seconds.
func (e *Edge) delayOf(s *session) uint8 {
	if s.RXDelay > 0 {
		return s.RXDelay
	}
	return uint8(e.cfg.Region.Delays().RX1 / time.Second)
}
