package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/assay-dev/assay/test/module"
	"github.com/assay-dev/assay/test/registry"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction(registry.DistributionGoroutine))
}

// kinds are both kinds of registry: most tests run with each.
var kinds = map[string]func(registry.Options) (*registry.Server, error){
	"distribution": registry.Distribution,
	"referrers":    registry.Referrers,
}

// each runs a test against both kinds of registry.
func each(t *testing.T, o registry.Options, test func(*testing.T, *registry.Server)) {
	t.Helper()
	for kind, start := range kinds {
		t.Run(kind, func(t *testing.T) {
			server, err := start(o)
			if err != nil {
				t.Fatalf("starting the registry: %v", err)
			}
			t.Cleanup(func() {
				if err := server.Close(); err != nil {
					t.Errorf("closing the registry: %v", err)
				}
			})
			test(t, server)
		})
	}
}

// push pushes the default module as host/repo:tag and returns its digest.
func push(t *testing.T, server *registry.Server, repoTag string, opts ...remote.Option) string {
	t.Helper()
	image, err := module.New(module.Options{Version: "1.0.0"})
	if err != nil {
		t.Fatalf("making a module: %v", err)
	}
	digest, err := module.Push(t.Context(), server.Host()+"/"+repoTag, image, opts...)
	if err != nil {
		t.Fatalf("pushing %s: %v", repoTag, err)
	}
	return digest
}

// head asks for the digest of a tag. Nothing is retried.
func head(ctx context.Context, server *registry.Server, repoTag string, opts ...remote.Option) (string, error) {
	ref, err := name.ParseReference(server.Host() + "/" + repoTag)
	if err != nil {
		return "", err
	}
	once := remote.WithRetryBackoff(remote.Backoff{Steps: 1})
	desc, err := remote.Head(ref, append(opts, remote.WithContext(ctx), once)...)
	if err != nil {
		return "", err
	}
	return desc.Digest.String(), nil
}

// accept is what the CNCF registry wants to see before it shows an OCI
// manifest to anybody: without it the answer is 404.
const accept = "application/vnd.oci.image.manifest.v1+json"

// answer is what came back for a request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// send sends a plain request, with a bearer token if there is one.
func send(t *testing.T, method, url, token string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return answer{response.StatusCode, response.Header, body}
}

// status sends a plain request.
func status(t *testing.T, method, url string) (int, http.Header) {
	t.Helper()
	got := send(t, method, url, "")
	return got.status, got.header
}

func TestPushAndPullAreServedAndRecorded(t *testing.T) {
	each(t, registry.Options{}, func(t *testing.T, server *registry.Server) {
		pushed := push(t, server, "a/tags/b:1.0.0") // a repository that looks like an endpoint
		server.Reset()

		got, err := head(t.Context(), server, "a/tags/b:1.0.0")
		if err != nil || got != pushed {
			t.Fatalf("head: %q, %v; want %q", got, err, pushed)
		}
		want := []registry.Request{
			{Method: "GET", Path: "/v2/"},
			{Method: "HEAD", Path: "/v2/a/tags/b/manifests/1.0.0"},
		}
		if diff := cmp.Diff(want, server.Requests()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
		counts := map[string]int{"GET ping": 1, "HEAD manifests": 1}
		if diff := cmp.Diff(counts, server.Counts()); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
	})
}

func TestLayersComeBackAsTheyWerePushed(t *testing.T) {
	each(t, registry.Options{}, func(t *testing.T, server *registry.Server) {
		digest := push(t, server, "app:1.0.0")
		ref, err := name.NewDigest(server.Host() + "/app@" + digest)
		if err != nil {
			t.Fatal(err)
		}
		image, err := remote.Image(ref, remote.WithContext(t.Context()))
		if err != nil {
			t.Fatalf("pulling: %v", err)
		}
		layers, err := image.Layers()
		if err != nil || len(layers) != 2 {
			t.Fatalf("layers: %d, %v; want 2", len(layers), err)
		}
		for _, layer := range layers {
			content, err := layer.Compressed()
			if err != nil {
				t.Fatalf("pulling a layer: %v", err)
			}
			if _, err := io.Copy(io.Discard, content); err != nil { // checks size and digest
				t.Errorf("reading a layer: %v", err)
			}
			if err := content.Close(); err != nil {
				t.Errorf("closing a layer: %v", err)
			}
		}
	})
}

func TestReferrersAPI(t *testing.T) {
	want := map[string]int{"distribution": http.StatusNotFound, "referrers": http.StatusOK}
	each(t, registry.Options{}, func(t *testing.T, server *registry.Server) {
		digest := push(t, server, "app:1.0.0")
		kind := t.Name()[strings.LastIndex(t.Name(), "/")+1:]
		got, _ := status(t, "GET", "http://"+server.Host()+"/v2/app/referrers/"+digest)
		if got != want[kind] {
			t.Errorf("status %d, want %d", got, want[kind])
		}
	})
}

func TestManifestsCanBeDeleted(t *testing.T) {
	each(t, registry.Options{}, func(t *testing.T, server *registry.Server) {
		digest := push(t, server, "app:1.0.0")
		url := "http://" + server.Host() + "/v2/app/manifests/" + digest
		if got, _ := status(t, "DELETE", url); got != http.StatusAccepted {
			t.Fatalf("deleting: status %d, want 202", got)
		}
		if got, _ := status(t, "GET", url); got != http.StatusNotFound {
			t.Errorf("after deleting: status %d, want 404", got)
		}
	})
}

func TestTagsComeInPages(t *testing.T) {
	tests := map[string]struct {
		reason string
		limit  int
		ask    int // 0: nothing in particular
		want   int
	}{
		"ServerLimit":       {reason: "the client asks for 1000 and gets 2", limit: 2, want: 3},
		"SmallerClientPage": {reason: "the client asks for less than the limit", limit: 4, ask: 2, want: 3},
		"ClientPage":        {reason: "a server without a limit gives what is asked for", ask: 2, want: 3},
		"OnePage":           {reason: "no Link header when nothing is left", limit: 6, want: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			each(t, registry.Options{PageSize: tt.limit}, func(t *testing.T, server *registry.Server) {
				want := pushTags(t, server, 5)
				server.Reset()
				got := listTags(t, server, tt.ask)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: tags (-want +got):\n%s", tt.reason, diff)
				}
				if pages := server.Counts()["GET tags"]; pages != tt.want {
					t.Errorf("%s: %d pages, want %d: %v", tt.reason, pages, tt.want, server.Requests())
				}
			})
		})
	}
}

func TestTagsOfAnUnknownRepository(t *testing.T) {
	each(t, registry.Options{PageSize: 2}, func(t *testing.T, server *registry.Server) {
		if got, _ := status(t, "GET", "http://"+server.Host()+"/v2/none/tags/list"); got != http.StatusNotFound {
			t.Errorf("status %d, want 404", got)
		}
	})
}

// pushTags puts n tags, sorted, on one artifact.
func pushTags(t *testing.T, server *registry.Server, n int) []string {
	t.Helper()
	var tags []string
	for i := range n {
		tag := fmt.Sprintf("1.0.%d", i)
		push(t, server, "app:"+tag)
		tags = append(tags, tag)
	}
	return tags
}

// listTags follows the Link headers.
func listTags(t *testing.T, server *registry.Server, pageSize int) []string {
	t.Helper()
	repo, err := name.NewRepository(server.Host() + "/app")
	if err != nil {
		t.Fatal(err)
	}
	opts := []remote.Option{remote.WithContext(t.Context())}
	if pageSize > 0 {
		opts = append(opts, remote.WithPageSize(pageSize))
	}
	tags, err := remote.List(repo, opts...)
	if err != nil {
		t.Fatalf("listing tags: %v", err)
	}
	return tags
}

func TestBasicAuth(t *testing.T) {
	auth := registry.BasicAuth{User: "reader", Password: "secret"}
	each(t, registry.Options{Auth: auth}, func(t *testing.T, server *registry.Server) {
		right := remote.WithAuth(&authn.Basic{Username: "reader", Password: "secret"})
		wrong := remote.WithAuth(&authn.Basic{Username: "reader", Password: "guess"})
		push(t, server, "app:1.0.0", right)

		if _, err := head(t.Context(), server, "app:1.0.0", right); err != nil {
			t.Errorf("right password: %v", err)
		}
		if _, err := head(t.Context(), server, "app:1.0.0", wrong); err == nil {
			t.Error("wrong password: no error")
		}
		got, header := status(t, "GET", "http://"+server.Host()+"/v2/")
		if got != http.StatusUnauthorized || !strings.HasPrefix(header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("no password: status %d, challenge %q", got, header.Get("WWW-Authenticate"))
		}
	})
}

func TestTokenIsFetchedOnceAndReused(t *testing.T) {
	auth := &registry.TokenAuth{User: "reader", Password: "secret"}
	each(t, registry.Options{Auth: auth}, func(t *testing.T, server *registry.Server) {
		right := remote.WithAuth(&authn.Basic{Username: "reader", Password: "secret"})
		push(t, server, "app:1.0.0", right)
		if _, err := head(t.Context(), server, "app:1.0.0"); err == nil {
			t.Error("no password: no error")
		}
		server.Reset()

		puller, err := remote.NewPuller(right)
		if err != nil {
			t.Fatal(err)
		}
		ref, err := name.ParseReference(server.Host() + "/app:1.0.0")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := puller.Head(t.Context(), ref); err != nil {
				t.Fatalf("head: %v", err)
			}
		}
		want := map[string]int{"GET ping": 1, "GET token": 1, "HEAD manifests": 2}
		if diff := cmp.Diff(want, server.Counts()); diff != "" {
			t.Errorf("two requests, counts (-want +got):\n%s", diff)
		}

		auth.Expire()
		server.Reset()
		if _, err := puller.Head(t.Context(), ref); err != nil {
			t.Fatalf("head with an expired token: %v", err)
		}
		want = map[string]int{"GET token": 1, "HEAD manifests": 2}
		if diff := cmp.Diff(want, server.Counts()); diff != "" {
			t.Errorf("expired token, counts (-want +got):\n%s", diff)
		}
	})
}

func TestTokenIsForItsScopesOnly(t *testing.T) {
	each(t, registry.Options{Auth: &registry.TokenAuth{}}, func(t *testing.T, server *registry.Server) {
		push(t, server, "app:1.0.0")   // anybody gets a token
		push(t, server, "other:1.0.0") // and one for each repository
		base := "http://" + server.Host()

		_, header := status(t, "GET", base+"/v2/app/manifests/1.0.0")
		want := fmt.Sprintf(`Bearer realm="%s/token",service="%s",scope="repository:app:pull"`, base, server.Host())
		if got := header.Get("WWW-Authenticate"); got != want {
			t.Errorf("challenge %q, want %q", got, want)
		}
		token := fetchToken(t, base+"/token?scope=repository:app:pull")
		for request, want := range map[string]int{
			"GET /v2/":                      http.StatusOK,
			"GET /v2/app/manifests/1.0.0":   http.StatusOK,
			"GET /v2/other/manifests/1.0.0": http.StatusUnauthorized,
			"PUT /v2/app/manifests/1.0.0":   http.StatusUnauthorized,
			"DELETE /v2/app/manifests/x":    http.StatusUnauthorized,
		} {
			method, path, _ := strings.Cut(request, " ")
			if got := send(t, method, base+path, token).status; got != want {
				t.Errorf("%s: status %d, want %d", request, got, want)
			}
		}
	})
}

// fetchToken asks the token endpoint.
func fetchToken(t *testing.T, url string) string {
	t.Helper()
	var answer struct{ Token string }
	if got := send(t, "GET", url, ""); json.Unmarshal(got.body, &answer) != nil || answer.Token == "" {
		t.Fatalf("no token: status %d: %s", got.status, got.body)
	}
	return answer.Token
}

func TestInterceptors(t *testing.T) {
	each(t, registry.Options{}, func(t *testing.T, server *registry.Server) {
		digest := push(t, server, "app:1.0.0")
		base := "http://" + server.Host()
		manifest := base + "/v2/app/manifests/" + digest

		busy := registry.Respond(http.StatusTooManyRequests, http.Header{"retry-after": {"7"}}, []byte("busy"))
		server.Intercept(registry.On("GET", registry.KindManifests, busy))
		got, header := status(t, "GET", manifest)
		if got != http.StatusTooManyRequests || header.Get("Retry-After") != "7" {
			t.Errorf("status %d, Retry-After %q; want 429 and 7", got, header.Get("Retry-After"))
		}
		if got, _ := status(t, "GET", base+"/v2/"); got != http.StatusOK {
			t.Errorf("another endpoint: status %d, want 200", got)
		}
		if got, _ := status(t, "HEAD", manifest); got != http.StatusOK {
			t.Errorf("another method: status %d, want 200", got)
		}

		server.Intercept(registry.Abort)
		if _, err := head(t.Context(), server, "app:1.0.0"); err == nil {
			t.Error("aborted: no error")
		}

		server.Intercept(nil)
		if got, _ := status(t, "GET", manifest); got != http.StatusOK {
			t.Errorf("interceptor taken away: status %d, want 200", got)
		}
	})
}

func TestInterceptorSeesTheRegistrysAnswer(t *testing.T) {
	each(t, registry.Options{}, func(t *testing.T, server *registry.Server) {
		push(t, server, "app:1.0.0")
		server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			w.Header().Set("X-Seen", "yes")
			next.ServeHTTP(w, r)
		})
		got, header := status(t, "HEAD", "http://"+server.Host()+"/v2/app/manifests/1.0.0")
		if got != http.StatusOK || header.Get("X-Seen") != "yes" {
			t.Errorf("status %d, X-Seen %q", got, header.Get("X-Seen"))
		}
	})
}

func TestHangEndsWithTheClient(t *testing.T) {
	each(t, registry.Options{}, func(t *testing.T, server *registry.Server) {
		arrived := make(chan struct{}, 1)
		server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			arrived <- struct{}{}
			registry.Hang(w, r, next)
		})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-arrived
			cancel()
		}()
		if _, err := head(ctx, server, "app:1.0.0"); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want that of the context", err)
		}
	})
}

func TestCloseWaitsForRequests(t *testing.T) {
	each(t, registry.Options{}, func(t *testing.T, server *registry.Server) {
		arrived, closed := make(chan struct{}), make(chan struct{})
		outlived := make(chan bool, 1)
		server.Intercept(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
			close(arrived)
			<-r.Context().Done() // the server ends it
			select {
			case <-closed:
				outlived <- true
			case <-time.After(20 * time.Millisecond): // Close has to wait for this
				outlived <- false
			}
		})
		failed := make(chan error, 1)
		go func() {
			_, err := head(context.WithoutCancel(t.Context()), server, "app:1.0.0")
			failed <- err
		}()
		<-arrived
		if err := server.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
		close(closed)
		if err := <-failed; err == nil {
			t.Error("the client got an answer")
		}
		if <-outlived {
			t.Error("a request outlived Close")
		}
	})
}

func TestDownAndUp(t *testing.T) {
	each(t, registry.Options{}, func(t *testing.T, server *registry.Server) {
		pushed := push(t, server, "app:1.0.0")
		host := server.Host()

		server.Down()
		server.Down() // nothing more
		if _, err := head(t.Context(), server, "app:1.0.0"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("down: error %v, want connection refused", err)
		}
		for range 2 { // the second does nothing
			if err := server.Up(); err != nil {
				t.Fatalf("coming up: %v", err)
			}
		}
		got, err := head(t.Context(), server, "app:1.0.0")
		if err != nil || got != pushed || server.Host() != host {
			t.Errorf("up again at %s (was %s): %q, %v; want %q", server.Host(), host, got, err, pushed)
		}
	})
}

func TestDownDuringARequest(t *testing.T) {
	each(t, registry.Options{}, func(t *testing.T, server *registry.Server) {
		server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			server.Down()
			next.ServeHTTP(w, r)
		})
		if _, err := head(t.Context(), server, "app:1.0.0"); err == nil {
			t.Error("the request was answered")
		}
	})
}

func TestClosedStaysClosed(t *testing.T) {
	each(t, registry.Options{}, func(t *testing.T, server *registry.Server) {
		for range 2 {
			if err := server.Close(); err != nil {
				t.Errorf("closing: %v", err)
			}
		}
		if err := server.Up(); err == nil {
			t.Error("a closed server came up")
		}
	})
}

func TestInterceptorsThatDoNotEnd(t *testing.T) {
	server, err := registry.Referrers(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	get := func(i registry.Interceptor) (*http.Response, error) {
		server.Intercept(i)
		return http.Get("http://" + server.Host() + "/v2/app/tags/list")
	}
	for name, i := range map[string]registry.Interceptor{
		"a byte at a time": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			registry.Trickle(time.Millisecond)(w, r, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("0123456789")) }))
		},
		"without end": registry.Endless(200, nil, []byte("01234"), []byte("5")),
	} {
		response, err := get(i)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		found := make([]byte, 6)
		if _, err := io.ReadFull(response.Body, found); err != nil || string(found) != "012345" {
			t.Errorf("%s: found %q, %v", name, found, err)
		}
		if name == "without end" {
			if n, err := io.CopyN(io.Discard, response.Body, 10<<20); err != nil {
				t.Errorf("%s: expected 10 MiB, found %d bytes, %v", name, n, err)
			}
		} else if rest, err := io.ReadAll(response.Body); err != nil || string(rest) != "6789" {
			t.Errorf("%s: found %q, %v", name, rest, err)
		}
		_ = response.Body.Close()
	}
	if response, err := get(registry.Raw([]byte("no HTTP"))); err == nil {
		_ = response.Body.Close()
		t.Error("expected an answer that is no HTTP")
	}
}
