package air

// Kept is how many transmissions the medium remembers.
func (m *Medium) Kept() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.kept)
}
