package dataapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// mostJobs are kept; those that ended first are forgotten first.
const mostJobs = 32

// job is long work that a client asked for: it goes on without the client,
// which asks how far it is.
type job struct {
	id, kind, key string
	cancel        context.CancelFunc
	began         time.Time

	mu       sync.Mutex
	done, of int
	state    string // running, done, failed, cancelled
	fault    string
	result   any // also while it runs: what there is
	ended    time.Time
}

type jobView struct {
	ID      string `json:"id"`
	Kind    string `json:"kind"`
	State   string `json:"state"`
	Done    int    `json:"done"`
	Of      int    `json:"of"`
	Started int64  `json:"started"`
	Ended   *int64 `json:"ended"`
	Error   string `json:"error"`
	Result  any    `json:"result"`
}

// progress tells how far the job is, with what it has.
func (j *job) progress(done int, result any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.done, j.result = done, result
}

func (j *job) view(whole bool) jobView {
	j.mu.Lock()
	defer j.mu.Unlock()
	v := jobView{ID: j.id, Kind: j.kind, State: j.state, Done: j.done, Of: j.of, Started: j.began.Unix(), Ended: unixOrNull(j.ended), Error: j.fault}
	if whole {
		v.Result = j.result
	}
	return v
}

func (j *job) running() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state == "running"
}

// finish says how the job ended.
func (j *job) finish(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended = time.Now()
	switch {
	case err == nil:
		j.state, j.done = "done", j.of
	case errors.Is(err, context.Canceled):
		j.state = "cancelled"
	default:
		j.state, j.fault = "failed", problemOf(err).Message
	}
}

// jobs is the set of them.
type jobs struct {
	mu      sync.Mutex
	all     []*job // oldest first
	running sync.WaitGroup
}

var errBusy = &problem{http.StatusConflict, codeInUse, "", "such a job is running already; wait for it, or cancel it with DELETE " + root + "/jobs/{id}"}

// start runs one job of a kind at a time. It ends with the server, or by its
// cancel.
func (s *Server) startJob(kind, key string, of int, run func(ctx context.Context, j *job) error) (*job, error) {
	s.jobs.mu.Lock()
	defer s.jobs.mu.Unlock()
	if slices.ContainsFunc(s.jobs.all, func(j *job) bool { return j.kind == kind && j.running() }) {
		return nil, errBusy
	}
	if len(s.jobs.all) >= mostJobs {
		if i := slices.IndexFunc(s.jobs.all, func(j *job) bool { return !j.running() }); i >= 0 {
			s.jobs.all = slices.Delete(s.jobs.all, i, i+1)
		}
	}
	ctx, cancel := context.WithCancel(s.life)
	j := &job{id: randomHex(8), kind: kind, key: key, of: of, cancel: cancel, began: time.Now(), state: "running"}
	s.jobs.all = append(s.jobs.all, j)
	s.jobs.running.Go(func() {
		defer cancel()
		j.finish(run(ctx, j))
	})
	return j, nil
}

// listJobs shows the jobs without their results, newest first.
func (s *Server) listJobs(c *call) (reply, error) {
	pg, err := parsePage(c.query)
	if err != nil {
		return reply{}, err
	}
	s.jobs.mu.Lock()
	all := slices.Clone(s.jobs.all)
	s.jobs.mu.Unlock()
	slices.Reverse(all)
	views := []jobView{}
	for _, j := range all {
		views = append(views, j.view(false))
	}
	return listReply("jobs", cut(pg, views), len(views), pg), nil
}

func (s *Server) findJob(c *call) (*job, error) {
	s.jobs.mu.Lock()
	defer s.jobs.mu.Unlock()
	for _, j := range s.jobs.all {
		if j.id == strings.ToLower(c.PathValue("id")) {
			return j, nil
		}
	}
	return nil, notFound("Job not found")
}

func jobReply(status int, j *job) reply {
	return reply{status, map[string]jobView{"job": j.view(true)}}
}

func (s *Server) getJob(c *call) (reply, error) {
	j, err := s.findJob(c)
	if err != nil {
		return reply{}, err
	}
	return jobReply(http.StatusOK, j), nil
}

// cancelJob ends a job; one that has ended is forgotten.
func (s *Server) cancelJob(c *call) (reply, error) {
	j, err := s.findJob(c)
	if err != nil {
		return reply{}, err
	}
	if j.running() {
		j.cancel()
		return reply{status: http.StatusNoContent}, nil
	}
	s.jobs.mu.Lock()
	defer s.jobs.mu.Unlock()
	s.jobs.all = slices.DeleteFunc(s.jobs.all, func(other *job) bool { return other == j })
	return reply{status: http.StatusNoContent}, nil
}
