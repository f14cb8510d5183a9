package concentrator

import "errors"

// FirmwareImage is one known image as [CheckFirmware] finds it in a folder.
type FirmwareImage struct {
	File   string // its name there
	Runs   string // what it runs on and is for
	SHA256 string // that it must have
	Err    error  // wraps ErrFirmware: what is wrong and what to do; nil if it is good
}

// CheckFirmware compares all images in a folder, for whichever radios, with
// the known hashes. The error joins those of the images.
func CheckFirmware(dir string) ([]FirmwareImage, error) {
	var all []FirmwareImage
	var errs []error
	for _, m := range images() {
		_, err := m.load(dir)
		all = append(all, FirmwareImage{File: m.File, Runs: m.Runs, SHA256: m.SHA256, Err: err})
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
}
