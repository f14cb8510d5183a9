package sx1302sim

// SX1261Misbehaviour is what can go wrong with the companion radio.
type SX1261Misbehaviour struct {
	FailTransfer int    // this transfer from now fails with ErrTransfer; 1 is the next
	Mute         bool   // it is not there: reads 0x00, and allows no transmission
	Version      string // 15 characters that it shows, patched or not
	NoBursts     bool   // only the first word of a write to the patch memory is taken
	EndlessScan  bool   // spectral scans never end
}

// companion returns how the SX1261 misbehaves.
func (f *Faults) companion() SX1261Misbehaviour {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.m.SX1261
}

// failSX1261 counts a transfer and tells whether it fails.
func (f *Faults) failSX1261() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return countdown(&f.m.SX1261.FailTransfer)
}
