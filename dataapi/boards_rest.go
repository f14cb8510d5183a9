package dataapi

import "net/http"

// BoardFinder is what a [Machine] is that looks at its host for boards.
type BoardFinder interface{ Boards() Boards }

// Boards is what the host tells of its concentrator, and what may be it.
type Boards struct {
	Model  string       `json:"model"` // of the computer, "" if it doesn't say
	HAT    string       `json:"hat"`   // what a board on the header says of itself, "" if nothing
	Boards []BoardFound `json:"boards"`
}

// BoardFound is a known board, seen from this host.
type BoardFound struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Chip    string   `json:"chip"`
	Port    string   `json:"port"`    // where the concentrator would be
	There   bool     `json:"there"`   // that port is there
	Regions []string `json:"regions"` // what it was made for
}

// getBoards offers boards: those whose port is there may be the right one.
func getBoards(_ *call, m Machine) (reply, error) {
	f, ok := m.(BoardFinder)
	if !ok {
		return reply{}, errNoMachine
	}
	return reply{http.StatusOK, map[string]Boards{"boards": f.Boards()}}, nil
}
