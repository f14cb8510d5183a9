package dataapi

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Sizes of a page of a list.
const (
	defaultLimit = 1000
	maxLimit     = 10_000
)

// page is the part of a list that a client asks for.
type page struct{ offset, limit int }

// parsePage never lowers a limit silently.
func parsePage(p parameters) (page, error) {
	pg := page{0, defaultLimit}
	for _, f := range []struct {
		name        string
		least, most int
		into        *int
	}{{"offset", 0, 1 << 30, &pg.offset}, {"limit", 0, maxLimit, &pg.limit}} {
		v := p.last(f.name)
		if v == "" {
			continue
		}
		n, err := strconv.Atoi(v)
		if err != nil || n < f.least || n > f.most {
			return pg, badParameter(f.name, "%s; a whole number from %d to %d is allowed", shown(v), f.least, f.most)
		}
		*f.into = n
	}
	return pg, nil
}

// cut returns the page of a list.
func cut[T any](pg page, all []T) []T {
	from := min(pg.offset, len(all))
	return all[from:min(from+pg.limit, len(all))]
}

// listReply has more than one top-level key, as clients expect of lists.
func listReply(name string, items any, total int, pg page) reply {
	return reply{http.StatusOK, map[string]any{name: items, "total": total, "offset": pg.offset, "limit": pg.limit}}
}

// sorting is one member of ?sort=.
type sorting struct {
	field   string
	reverse bool
}

// parseSort reads a comma separated list of fields, each with "-" in front
// for descending order.
func parseSort(p parameters, allowed []string) ([]sorting, error) {
	var out []sorting
	for _, m := range p.members("sort") {
		name, reverse := strings.CutPrefix(m, "-")
		name = strings.TrimPrefix(name, "+")
		if !slices.Contains(allowed, name) {
			return nil, badParameter("sort", "%s; allowed are %s, with - in front for descending order", shown(m), strings.Join(allowed, ", "))
		}
		out = append(out, sorting{name, reverse})
	}
	return out, nil
}

// number makes numbers sort as text.
func number(n int64) string { return fmt.Sprintf("%020d", max(n, 0)) }
