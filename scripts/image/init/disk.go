package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The partitions of the card.
const (
	bootPart = 1
	permPart = 4
)

const sector = 512 // bytes, the unit of sysfs and of the partition table

// disk is the card.
type disk struct {
	name string // of the block device, such as mmcblk0
	part string // what a partition's name has before its number, such as mmcblk0p
}

func (d disk) device() string           { return "/dev/" + d.name }
func (d disk) partition(n int) string   { return "/dev/" + d.part + strconv.Itoa(n) }
func (d disk) sysfs(name string) string { return "/sys/class/block/" + name }

// findDisk finds the card by what is mounted at /perm.
func findDisk() (disk, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return disk{}, err
	}
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[1] != "/perm" {
			continue
		}
		name := filepath.Base(f[0])
		path, err := filepath.EvalSymlinks("/sys/class/block/" + name)
		if err != nil {
			return disk{}, err
		}
		part, ok := strings.CutSuffix(name, strconv.Itoa(permPart))
		if !ok {
			return disk{}, fmt.Errorf("%s is mounted at /perm; partition %d is wanted", name, permPart)
		}
		return disk{name: filepath.Base(filepath.Dir(path)), part: part}, nil
	}
	return disk{}, errors.New("nothing is mounted at /perm")
}

// sectors reads a number of sectors out of sysfs.
func sectors(path string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// grow gives the data partition all that is left of the card: its entry in
// the partition table, the kernel's idea of it, and the file system, which is
// mounted. Each step may be the last before a power cut; the next start goes on.
func grow(d disk, log *slog.Logger) error {
	name := d.part + strconv.Itoa(permPart)
	all, err := sectors(d.sysfs(d.name) + "/size")
	if err != nil {
		return err
	}
	start, err := sectors(d.sysfs(name) + "/start")
	if err != nil {
		return err
	}
	size, err := sectors(d.sysfs(name) + "/size")
	if err != nil {
		return err
	}
	const align = 2048
	want := min((all-start)/align*align, 1<<32-align) // the table has 32 bits
	if want > size {
		if err := setPartition(d, start, want); err != nil {
			return err
		}
		log.Info("data partition grown", "MiB", want>>11)
	}
	want = max(want, size)
	var st unix.Statfs_t
	if err := unix.Statfs("/perm", &st); err != nil {
		return err
	}
	blocks := uint64(want) * sector / uint64(st.Bsize)
	if done := uint64(want) * sector / 10 * 9; st.Blocks*uint64(st.Bsize) >= done {
		return nil // the rest is the file system's own
	}
	perm, err := os.Open("/perm")
	if err != nil {
		return err
	}
	defer perm.Close()
	const ext4ResizeFS = 0x40086610                           // EXT4_IOC_RESIZE_FS
	return ioctl(perm, ext4ResizeFS, unsafe.Pointer(&blocks)) //nolint:gosec // what the kernel takes
}

// setPartition writes the table's entry of the data partition and tells the
// kernel.
func setPartition(d disk, start, size int64) error {
	f, err := os.OpenFile(d.device(), os.O_RDWR|unix.O_SYNC, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var mbr [sector]byte
	if _, err := f.ReadAt(mbr[:], 0); err != nil {
		return err
	}
	entry := mbr[446+16*(permPart-1):][:16]
	if int64(binary.LittleEndian.Uint32(entry[8:])) != start {
		return errors.New("the partition table is not that of the image: the data partition stays as it is")
	}
	binary.LittleEndian.PutUint32(entry[12:], uint32(size))
	if _, err := f.WriteAt(mbr[:], 0); err != nil {
		return err
	}
	// struct blkpg_partition and blkpg_ioctl_arg of linux/blkpg.h.
	part := struct {
		start, length int64 // bytes
		number        int32
		names         [128]byte
	}{start: start * sector, length: size * sector, number: permPart}
	arg := struct {
		op, flags, length int32
		data              unsafe.Pointer
	}{op: 3, length: int32(unsafe.Sizeof(part)), data: unsafe.Pointer(&part)} //nolint:gosec // BLKPG_RESIZE_PARTITION
	const blkpg = 0x1269
	return ioctl(f, blkpg, unsafe.Pointer(&arg)) //nolint:gosec // what the kernel takes
}

func ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(arg)); errno != 0 {
		return os.NewSyscallError(fmt.Sprintf("ioctl %#x of %s", request, f.Name()), errno)
	}
	return nil
}
