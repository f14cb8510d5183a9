package board

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// The driver asks for the temperature at each packet and must not wait.
func TestATemperatureIsReadBesideWhoAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads, value, failure := 0, 20.0, error(nil)
		th := &thermometer{value: 19, at: time.Now(), read: func() (float64, error) {
			reads++
			time.Sleep(time.Second)
			return value, failure
		}}
		ask := func(want float64, wantErr error) {
			t.Helper()
			began := time.Now()
			if v, err := th.celsius(); v != want || !errors.Is(err, wantErr) {
				t.Errorf("%v °C, %v; want %v, %v", v, err, want, wantErr)
			}
			if time.Since(began) > 0 {
				t.Error("it waited")
			}
		}
		ask(19, nil)
		time.Sleep(temperatureAge)
		ask(19, nil) // old, and a read begins
		ask(19, nil) // which is enough
		time.Sleep(2 * time.Second)
		ask(20, nil)
		if reads != 1 {
			t.Errorf("%d reads", reads)
		}
		value, failure = 0, errors.ErrUnsupported
		time.Sleep(temperatureAge)
		ask(20, nil)
		time.Sleep(2 * time.Second)
		ask(0, errors.ErrUnsupported)
	})
}
