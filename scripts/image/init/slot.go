package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"gatewayd/scripts/image/update"
)

// Partitions 2 and 3 hold a root file system each. The file cmdline.txt on the
// boot partition says which one the kernel starts. With the word tryOther,
// that one's init takes the word out and goes on as the init of the other
// one (gokrazy's library does): whatever happens then, the next start is the
// old one's, unless the daemon was well and the new one was kept.
const (
	tryOther = "gokrazy.try_boot_inactive=1"
	trial    = 5 * time.Minute   // in which the daemon has to be well for wellFor
	trialKey = "gatewayd.trial=" // on the kernel's command line: another time, for tests
	wellFor  = 20 * time.Second
)

var rootPart = regexp.MustCompile(`^(root=PARTUUID=[0-9a-f]{8}-0)([23])$`)

// slot is the root file system that runs.
type slot struct {
	disk disk
	log  *slog.Logger

	mu    sync.Mutex // held while a slot or cmdline.txt is written
	first time.Time  // when the daemon was first well
	well  chan struct{}
	once  sync.Once
}

// number returns the partition that the kernel was told, and the one that
// runs; they differ while the latter is on trial.
func (s *slot) number() (told, running int) {
	for _, word := range cmdline() {
		if m := rootPart.FindStringSubmatch(word); m != nil {
			told = int(m[2][0] - '0')
		}
	}
	running = told
	if text, err := os.ReadFile("/proc/self/mounts"); err == nil {
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) > 2 && f[1] == "/" && f[2] == "squashfs" {
				running = told
				if f[0] == s.disk.partition(5-told) {
					running = 5 - told
				}
			}
		}
	}
	return told, running
}

func (s *slot) onTrial() bool {
	told, running := s.number()
	return told != running
}

// healthy is told each time that the daemon is well.
func (s *slot) healthy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first.IsZero() {
		s.first = time.Now()
	}
	if time.Since(s.first) >= wellFor {
		s.once.Do(func() { close(s.wellChan()) })
	}
}

func (s *slot) wellChan() chan struct{} {
	if s.well == nil {
		s.well = make(chan struct{})
	}
	return s.well
}

// judge keeps a root file system that is on trial when the daemon is well in
// it, or restarts the machine into the old one.
func (s *slot) judge(ctx context.Context) {
	told, running := s.number()
	if told == running {
		return
	}
	patience := trialTime()
	s.log.Warn("a new version is on trial", "slot", running, "for", patience)
	s.mu.Lock()
	well := s.wellChan()
	s.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-well:
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := s.boot(running, false); err != nil {
			s.log.Error("the new version can't be kept", "err", err)
			return
		}
		s.log.Info("the new version is kept", "slot", running)
	case <-time.After(patience):
		restart(s.log, "the new version is not well: back to the old one")
	}
}

func trialTime() time.Duration {
	for _, word := range cmdline() {
		if v, ok := strings.CutPrefix(word, trialKey); ok {
			if d, err := time.ParseDuration(v); err == nil {
				return d
			}
		}
	}
	return trial
}

// boot has the kernel start a slot from now on; trying: the other one once.
func (s *slot) boot(part int, trying bool) error {
	return withCard(s.disk, true, func(dir string) error {
		f, err := os.OpenFile(filepath.Join(dir, "cmdline.txt"), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		old, err := io.ReadAll(io.LimitReader(f, 4096))
		if err != nil {
			return err
		}
		text, err := editCmdline(old, part, trying)
		if err != nil {
			return err
		}
		// Less than a sector, of a size that stays: the old or the new one.
		if _, err := f.WriteAt(text, 0); err != nil {
			return err
		}
		return f.Sync()
	})
}

// editCmdline changes the slot that is started; the length stays, by blanks
// after the end of the line.
func editCmdline(old []byte, part int, trying bool) ([]byte, error) {
	line, _, _ := strings.Cut(string(old), "\n")
	found := false
	words := slices.DeleteFunc(strings.Fields(line), func(w string) bool { return strings.HasPrefix(w, "gokrazy.") })
	for i, w := range words {
		if m := rootPart.FindStringSubmatch(w); m != nil {
			words[i], found = fmt.Sprintf("%s%d", m[1], part), true
		}
	}
	if !found {
		return nil, errors.New("cmdline.txt: no root=PARTUUID=…-02 or -03")
	}
	if trying {
		words = append(words, tryOther)
	}
	text := strings.Join(words, " ") + "\n"
	if len(text) > len(old) {
		return nil, fmt.Errorf("cmdline.txt: %d bytes are too few for %d", len(old), len(text))
	}
	return append([]byte(text), strings.Repeat(" ", len(old)-len(text))...), nil
}

// update writes a signed root file system to the slot that doesn't run, and
// has it tried at the next start.
func (s *slot) update(r io.Reader) (update.Manifest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.onTrial() {
		return update.Manifest{}, errors.New("the version that runs is itself on trial: wait until it is kept, at most 5 minutes")
	}
	key, err := os.ReadFile("/etc/update.pub")
	if err != nil {
		return update.Manifest{}, errors.New("this image was built without a key for updates: write the new image to the card instead")
	}
	m, payload, err := update.Open(r, key)
	if err != nil {
		return m, err
	}
	if k := release(); m.Kernel != k {
		return m, fmt.Errorf("the update is for kernel %s, and %s is on the card: write the new image to the card instead", m.Kernel, k)
	}
	_, running := s.number()
	part := s.disk.partition(5 - running)
	size, err := sectors(s.disk.sysfs(filepath.Base(part)) + "/size")
	if err != nil {
		return m, err
	}
	if m.Size > size*sector {
		return m, fmt.Errorf("the update has %d bytes, and a slot %d", m.Size, size*sector)
	}
	f, err := os.OpenFile(part, os.O_WRONLY, 0)
	if err != nil {
		return m, err
	}
	defer f.Close()
	if _, err := io.Copy(f, payload); err != nil {
		return m, fmt.Errorf("the update is not installed: %w", err)
	}
	if err := f.Sync(); err != nil {
		return m, err
	}
	return m, s.boot(running, true)
}
