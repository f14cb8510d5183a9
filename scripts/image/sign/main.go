// Sign makes keys for updates, and updates:
//
//	sign key FILE                              writes a new private key, prints the public one
//	sign public FILE                           prints the public key
//	sign update FILE VERSION KERNEL ROOT OUT   signs a root file system
package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"

	"gatewayd/scripts/image/update"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sign:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "key":
		seed := make([]byte, ed25519.SeedSize)
		_, _ = rand.Read(seed)                                                   // never fails
		f, err := os.OpenFile(args[1], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the user's own file
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(f, base64.StdEncoding.EncodeToString(seed))
		return errors.Join(err, f.Close(), public(args[1]))
	case len(args) == 2 && args[0] == "public":
		return public(args[1])
	case len(args) == 6 && args[0] == "update":
		return sign(args[1], args[2], args[3], args[4], args[5])
	}
	return errors.New("wanted: key FILE, public FILE, or update FILE VERSION KERNEL ROOT OUT")
}

func load(file string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the user's own file
	if err != nil {
		return nil, err
	}
	seed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s holds no key; \"sign key FILE\" makes one", file)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

func public(file string) error {
	key, err := load(file)
	if err != nil {
		return err
	}
	fmt.Println(base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey)))
	return nil
}

func sign(file, version, kernel, root, out string) error {
	key, err := load(file)
	if err != nil {
		return err
	}
	fs, err := os.ReadFile(root) //nolint:gosec // the user's own file
	if err != nil {
		return err
	}
	f, err := os.Create(out) //nolint:gosec // the user's own file
	if err != nil {
		return err
	}
	return errors.Join(update.Write(f, key, version, kernel, fs), f.Close())
}
