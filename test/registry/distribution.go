package registry

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory" // the only driver in use
	"github.com/sirupsen/logrus"
)

// DistributionGoroutine is a goroutine that the CNCF registry starts for every
// server and never ends: the sender of its notifications, of which there are
// none. Tests pass it to goleak.IgnoreTopFunction; it holds no memory to speak
// of.
const DistributionGoroutine = "github.com/docker/go-events.(*Broadcaster).run"

// Distribution starts the CNCF registry with its content in memory and
// deletion enabled. It has no referrers API: it answers 404 there.
//
// It answers 404, too, to a request for an OCI manifest that does not accept
// that media type, and points to a next page of tags whenever a page is full,
// so that the last page may be empty.
//
// The CNCF registry logs through the global logger of logrus and through no
// other, so the first call silences that logger for the whole process.
func Distribution(o Options) (*Server, error) {
	silenceLogrus()
	app := handlers.NewApp(context.Background(), configure())
	return start(limitPages(o.PageSize, app), app.Shutdown, o)
}

// silenceLogrus drops what is logged; the level spares the work of formatting.
var silenceLogrus = sync.OnceFunc(func() {
	logrus.SetOutput(io.Discard)
	logrus.SetLevel(logrus.PanicLevel)
})

// configure leaves out what the registry would do beside serving: nothing is
// measured, traced or notified. Tracing and metrics belong to its command line,
// which is not used.
func configure() *configuration.Configuration {
	return &configuration.Configuration{
		Storage: configuration.Storage{
			"inmemory": configuration.Parameters{},
			"delete":   configuration.Parameters{"enabled": true},
		},
	}
}

// limitPages makes the registry list at most size tags at once. Its own limit
// would not do: it holds only for clients that ask for pages.
func limitPages(size int, next http.Handler) http.Handler {
	if size <= 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if kind, _ := route(r.URL.Path); kind == KindTags {
			r = withPageSize(r, size)
		}
		next.ServeHTTP(w, r)
	})
}

// withPageSize asks for at most size tags.
func withPageSize(r *http.Request, size int) *http.Request {
	query := r.URL.Query()
	if n, err := strconv.Atoi(query.Get("n")); query.Has("n") && (err != nil || n <= size) {
		return r
	}
	query.Set("n", strconv.Itoa(size))
	r = r.Clone(r.Context())
	r.URL.RawQuery = query.Encode()
	return r
}
