package main

import (
	"os"
	"strings"
	"testing"

	"gatewayd/cmd/gatewayd/config"
)

// What the documents list is what there is.
func TestDocumentsNameEveryKeyAndCommand(t *testing.T) {
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
	readme := read("README.md")
	for _, c := range newRoot(streams{}).Commands() {
		if c.IsAvailableCommand() && c.Name() != "help" && c.Name() != "completion" && !strings.Contains(readme, "`"+c.Name()) {
			t.Errorf("README.md lacks the command %s", c.Name())
		}
	}
}
