package dataapi

import (
	"encoding/json"
	"net/http"
	"sync"

	"gatewayd/dataapi/apidoc"
)

// openAPI is made once, by whoever asks first.
var openAPI = sync.OnceValues(func() (json.RawMessage, error) {
	doc, err := apidoc.OpenAPI()
	if err != nil {
		return nil, err
	}
	return json.Marshal(doc)
})

func serveOpenAPI(*call) (reply, error) {
	text, err := openAPI()
	return reply{http.StatusOK, text}, err
}
