package concentrator

import (
	"context"
	"fmt"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
)

// readIdentity reads EUI and model. The memory's address register is left as
// it was. It ends the start, so it also proves that the chip still answers:
// the bytes of a dead one would be believed.
func (d *driver) readIdentity(context.Context) error {
	before := d.regs.get(reg.OTPByteAddr)
	var eui radio.EUI64
	for i := range eui {
		b, err := d.readOTP(byte(i))
		if err != nil {
			return err
		}
		eui[i] = b
	}
	model, err := d.readOTP(otpModel)
	if err != nil {
		return err
	}
	if err := d.regs.put(reg.OTPByteAddr, before); err != nil {
		return err
	}
	version, err := d.regs.readByte(reg.CommonVersion.Addr())
	if err != nil {
		return err
	}
	if err := diagnose(version); err != nil {
		return err
	}
	d.eui, d.model = eui, model
	return nil
}

// modelName says what the model number means.
func modelName(model byte) string {
	switch model {
	case 0, 2:
		return "SX1302"
	case sx1303Model:
		return "SX1303"
	}
	return fmt.Sprintf("unknown (%d)", model)
}

// frequencies lists the enabled receive channels in Hz: the multi-SF ones,
// then the service channel and the FSK channel, 0 where there is none.
func (c *Config) frequencies() (multi []int64, service, fsk int64) {
	at := func(ch Channel) int64 {
		if !ch.Enable {
			return 0
		}
		return int64(c.Radios[ch.Radio].Freq + ch.IF)
	}
	for _, ch := range c.Channels {
		if f := at(ch); f != 0 {
			multi = append(multi, f)
		}
	}
	return multi, at(c.Service.Channel), at(c.FSK.Channel)
}

// announce logs a start that succeeded: the one line above warnings that the
// driver writes, for people who want to know what they have.
func (s *session) announce(took time.Duration, frames, octets uint64) {
	multi, service, fsk := s.c.cfg.frequencies()
	fields := []any{"eui", s.drv.eui, "model", modelName(s.drv.model), "channels", multi}
	if service != 0 {
		m := radio.LoRa{SF: s.c.cfg.Service.SF, Bandwidth: s.c.cfg.Service.Bandwidth}
		fields = append(fields, "service", fmt.Sprint(service, " ", m.DataRate()))
	}
	if fsk != 0 {
		fields = append(fields, "fsk", fsk)
	}
	fields = append(fields, "took", took.Round(time.Millisecond), "frames", frames, "bytes", octets)
	s.c.cfg.Log.Info("concentrator started", fields...)
}
