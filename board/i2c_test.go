package board

import (
	"strings"
	"testing"
)

func TestAnI2CBusThatIsNotThereSaysWhatToDo(t *testing.T) {
	var h Hardware
	for path, want := range map[string]string{
		"i2c":              "/dev/i2c-N or unix:PATH is wanted",
		"unix:/none/i2c":   "gatewayd sim --i2c-socket /none/i2c",
		"/dev/i2c-4095000": "dtparam=i2c_arm=on",
	} {
		if err := h.openI2C(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", path, err, want)
		}
	}
}
