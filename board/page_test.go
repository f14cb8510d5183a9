package board

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write docs/boards.md anew")

// docs/boards.md is made of the board files.
func TestBoardsPageIsWhatTheFilesSay(t *testing.T) {
	const path = "../docs/boards.md"
	page, err := boardsPage()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != page {
		t.Error("docs/boards.md differs from the board files; run: go test ./board -run TestBoardsPage -update")
	}
}
