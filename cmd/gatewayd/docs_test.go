package main

import (
	"os"
	"strings"
	"testing"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/config"
)

// What the documents list is what there is.
func TestDocumentsNameEveryKeyBoardAndCommand(t *testing.T) {
	read := func(path string) string {
		text, err := os.ReadFile("../../" + path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	file := read("docs/configuration.md")
	for _, key := range config.Keys() {
		if !strings.Contains(file, "`"+key+"`") {
			t.Errorf("docs/configuration.md lacks %s", key)
		}
	}
	for _, name := range board.Names() {
		if !strings.Contains(file, "`"+name+"`") {
			t.Errorf("docs/configuration.md lacks the board %s", name)
		}
	}
	readme := read("README.md")
	for _, c := range newRoot(streams{}).Commands() {
		if c.IsAvailableCommand() && c.Name() != "help" && c.Name() != "completion" && !strings.Contains(readme, "`"+c.Name()) {
			t.Errorf("README.md lacks the command %s", c.Name())
		}
	}
}
