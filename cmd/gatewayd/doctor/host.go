package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gatewayd/board"
	"gatewayd/concentrator/gnss"
)

// Host is what is asked of the machine: the one that this runs on, or a
// test's.
type Host struct {
	FS       fs.FS                                            // of "/"
	Space    func(dir string) (free, total uint64, err error) // bytes on its file system
	Writable func(dir string) error                           // nil, or why no file can be made there
	Clock    func() (disciplined bool, within time.Duration)  // as gnss.HostClock
	Listen   func(addr string) error                          // nil if the address is free
	Lines    func(b board.Board) (label string, uses []board.LineUse, err error)
	UID      int
	Groups   []int
	PID      int
}

// ThisHost is the machine that this runs on.
func ThisHost() Host {
	groups, err := os.Getgroups()
	if err != nil {
		groups = nil // only hints depend on it
	}
	return Host{
		FS: os.DirFS("/"), Space: space, Writable: writable, Clock: gnss.HostClock, Listen: canListen,
		Lines: board.Board.LineUses,
		UID:   os.Getuid(), Groups: append(groups, os.Getgid()), PID: os.Getpid(),
	}
}

func space(dir string) (free, total uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("space in %s: %w", dir, err)
	}
	size := uint64(s.Bsize)
	return s.Bavail * size, s.Blocks * size, nil
}

func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString("gatewayd doctor\n")
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}

func canListen(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return l.Close()
}

// text reads a small file, without white space and NULs around it; "" if it
// can't be read.
func (h Host) text(name string) string {
	b, err := fs.ReadFile(h.FS, strings.TrimPrefix(name, "/"))
	if err != nil {
		return ""
	}
	return strings.Trim(string(b), " \t\r\n\x00")
}

// number reads a file that holds one number.
func (h Host) number(name string) (int64, bool) {
	n, err := strconv.ParseInt(h.text(name), 10, 64)
	return n, err == nil
}

// glob lists what is there, sorted.
func (h Host) glob(pattern string) []string {
	list, err := fs.Glob(h.FS, strings.TrimPrefix(pattern, "/"))
	if err != nil {
		return nil
	}
	for i := range list {
		list[i] = "/" + list[i]
	}
	return list
}

// node is a device node, a socket or a folder.
type node struct {
	mode     fs.FileMode
	uid, gid int // -1: not known
}

// stat looks at a node.
func (h Host) stat(name string) (node, error) {
	info, err := fs.Stat(h.FS, strings.TrimPrefix(name, "/"))
	if err != nil {
		return node{}, err
	}
	n := node{info.Mode(), -1, -1}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		n.uid, n.gid = int(s.Uid), int(s.Gid)
	}
	return n, nil
}

// opens tells whether this user may read and write a node.
func (h Host) opens(n node) bool {
	m := n.mode.Perm()
	switch {
	case h.UID == 0:
		return true
	case n.uid == h.UID:
		return m&0o600 == 0o600
	case slices.Contains(h.Groups, n.gid):
		return m&0o060 == 0o060
	}
	return m&0o006 == 0o006
}

// group is a group's name by its number.
func (h Host) group(gid int) string {
	for line := range strings.Lines(h.text("/etc/group")) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) > 2 && f[2] == strconv.Itoa(gid) {
			return f[0]
		}
	}
	return strconv.Itoa(gid)
}

// holders are the other processes that have a node open, as far as this user
// may see them.
func (h Host) holders(name string) []string {
	var list []string
	for _, link := range h.glob("/proc/[0-9]*/fd/*") {
		to, err := fs.ReadLink(h.FS, strings.TrimPrefix(link, "/"))
		if err != nil || to != name {
			continue
		}
		pid := strings.Split(link, "/")[2]
		who := fmt.Sprintf("%s (pid %s)", h.text(path.Join("/proc", pid, "comm")), pid)
		if pid != strconv.Itoa(h.PID) && !slices.Contains(list, who) {
			list = append(list, who)
		}
	}
	return list
}
