package dataapi

import (
	"io"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
)

// metrics are this package's figures, on a registry of their own.
type metrics struct {
	registry  *prometheus.Registry
	published [len(kindNames)]prometheus.Counter // events, by type
	dropped   prometheus.Counter                 // events that found the intake full
	encoded   prometheus.Counter                 // messages made; fewer than are sent
	closed    *prometheus.CounterVec             // connections that this side ended, by reason
	refused   *prometheus.CounterVec             // connections refused, by code
	malformed prometheus.Counter                 // messages from ASs
	answers   *prometheus.CounterVec             // messages from ASs, by type and result
	requests  *prometheus.CounterVec             // Management API, by method and status
	leads     *prometheus.HistogramVec           // of answers, by application
}

func newMetrics(s *Server) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "gatewayd", Subsystem: "dataapi", Name: name, Help: help})
		m.registry.MustRegister(c)
		return c
	}
	vector := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "gatewayd", Subsystem: "dataapi", Name: name, Help: help}, labels)
		m.registry.MustRegister(c)
		return c
	}
	published := vector("events_total", "Events published, by message type.", "type")
	for i, name := range kindNames {
		m.published[i] = published.WithLabelValues(name)
	}
	m.dropped = counter("events_dropped_total", "Events dropped because too many were waiting.")
	m.encoded = counter("messages_encoded_total", "Messages encoded; one serves all connections of its shape.")
	m.closed = vector("connections_closed_total", "Connections ended by this side, by reason.", "reason")
	m.refused = vector("connections_refused_total", "Connections refused before the upgrade, by code.", "code")
	m.malformed = counter("messages_malformed_total", "Messages from applications that were malformed.")
	m.answers = vector("answers_total", "Messages from applications to the network server, by type and result.", "type", "result")
	m.requests = vector("requests_total", "Requests to the Management API, by method and status.", "method", "status")
	m.leads = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "gatewayd", Subsystem: "dataapi", Name: "answer_lead_seconds", Buckets: leadBuckets(),
		Help: "From an answer's arrival to the deadline of its downlink_request, by application; le=0 are those that were late.",
	}, []string{"application"})
	m.registry.MustRegister(
		m.leads,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "gatewayd", Subsystem: "dataapi", Name: "connections", Help: "Open Data API connections."}, s.connections),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

func (s *Server) connections() float64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return float64(len(s.subscribers))
}

// Metrics is the registry behind /metrics; others register their figures too.
func (s *Server) Metrics() prometheus.Registerer { return s.metrics.registry }

// WriteMetrics writes what /metrics shows.
func (s *Server) WriteMetrics(w io.Writer) error {
	families, err := s.metrics.registry.Gather()
	for _, f := range families {
		if _, werr := expfmt.MetricFamilyToText(w, f); werr != nil {
			return werr
		}
	}
	return err
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
