package dataapi

import (
	"net/http"
	"slices"

	"gatewayd/dataapi/apidoc"
	"gatewayd/dataapi/gui"
)

// root is where the Management API is.
const root = "/api/" + apiVersion

// public is the name of resources that need no key.
const public = "public"

// route is a path of the Management API, below [root]. The name is that of the
// resource whose permission it takes; an empty one needs a key, but no right.
type route struct {
	path, name string
	methods    methods
}

// table is the whole Management API. Package apidoc describes each row.
func (s *Server) table() []route {
	return slices.Concat([]route{
		{"/auth", public, methods{http.MethodPost: s.signIn}},
		{"/logout", public, methods{http.MethodGet: s.signOut, http.MethodPost: s.signOut}},
		{"/setup", public, methods{http.MethodGet: s.getSetup, http.MethodPost: s.makeFirstUser}},
		{"/me", "", methods{http.MethodGet: s.getMe}},
		{"/me/password", "", methods{http.MethodPost: s.changePassword}},
		{"/users", "users", s.userList()},
		{"/users/{id}", "users", s.userOne()},
		{"/keys", "keys", s.keyList()},
		{"/keys/{id}", "keys", s.keyOne()},

		{"/devices", "devices", s.deviceList()},
		{"/devices/{id}", "devices", s.deviceOne()},
		{"/filters", "filters", s.filterList()},
		{"/filters/{id}", "filters", s.filterOne()},
		{"/connections", "connections", s.connectionList()},
		{"/connections/{id}", "connections", s.connectionOne()},
		{"/history/data.json", "", methods{http.MethodGet: s.getHistory}},
		{"/answers", "", methods{http.MethodGet: s.getAnswers}},

		{"/bands", "", methods{http.MethodGet: s.listBands}},
		{"/bands/{id}", "", methods{http.MethodGet: s.getBand}},
		{"/gateways", "gateways", methods{http.MethodGet: s.listGateways}},
		{"/gateways/{id}", "gateways", methods{http.MethodGet: s.getGateway}},
		{"/" + organisations, "", methods{http.MethodGet: s.listOrganisations}},

		{"/tls", public, methods{http.MethodGet: s.getTLS}},
		{"/tls/ca.pem", public, methods{http.MethodGet: s.getCA}},
		{"/openapi.json", public, methods{http.MethodGet: document(apidoc.OpenAPI)}},
		{"/asyncapi.json", public, methods{http.MethodGet: document(apidoc.AsyncAPI)}},
		{"/clients", "connections", methods{http.MethodGet: s.listClients}},
		{"/clients/{id}", "connections", methods{http.MethodDelete: s.endClient}},
	}, s.transferRoutes(), s.radioRoutes(), s.systemRoutes(), s.applianceRoutes(), s.backupRoutes(), s.insightRoutes(), s.labRoutes())
}

// routes serves everything that there is.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.table() {
		s.resource(mux, root+r.path, r.name, r.methods)
	}
	for _, alias := range []string{"/devices", "/api/devices"} {
		s.resource(mux, alias, "devices", always200(s.deviceList()))
		s.resource(mux, alias+"/{id}", "devices", always200(s.deviceOne()))
	}
	mux.Handle(root+"/data", s.serveData())
	mux.Handle("/api/data", s.serveData())
	mux.Handle(root+"/lab/radio", s.serveLabRadio())
	mux.HandleFunc("/http2/cb/{id}", s.callback)
	page := gui.Handler()
	for _, path := range gui.Paths() {
		mux.Handle(path, page)
	}
	mux.HandleFunc("/", unknownPath)

	all := http.NewServeMux()
	all.HandleFunc("/healthz", s.healthz)
	all.HandleFunc("/readyz", s.readyz)
	all.Handle("/metrics", s.metrics.handler())
	all.Handle("/", s.guard(mux))
	return all
}
