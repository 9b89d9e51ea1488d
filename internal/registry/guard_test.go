package registry

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func requestTo(t *testing.T, address string, after *http.Request) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if after != nil {
		r.Response = &http.Response{Request: after}
	}
	return r
}

// Of what tells somebody else about us, nothing goes elsewhere.
func TestGuardTakesEachHeaderOut(t *testing.T) {
	g := newGuard(newPool(t), repository(t, "oci://"+registryHost+"/app", false))
	g.endHandshake()
	for _, name := range []string{"Authorization", "Cookie", "Referer"} {
		r := requestTo(t, "https://"+evilHost+"/", nil)
		r.Header.Set(name, "secret")
		r.Header.Set("Accept", "*/*")
		out, err := g.checkCredentials(r)
		if err != nil || out.Header.Get(name) != "" || out.Header.Get("Accept") == "" {
			t.Errorf("%s: expected it alone to be taken out, found %v, %v", name, out.Header, err)
		}
	}
}

// A token server is named, and never redirected to; and who answers the ping in
// the end, after however many redirects, is not asked how to authenticate.
func TestGuardOfRedirects(t *testing.T) {
	const blob, ping = "https://" + registryHost + "/v2/app/blobs/x", "https://" + registryHost + "/v2/"
	const cdn, evil = "https://cdn." + registryHost + "/", "https://" + evilHost + "/"
	for name, tt := range map[string]struct {
		through []string // the last is asked
		refused bool
	}{
		"blob elsewhere":               {[]string{blob, evil}, false},
		"blob elsewhere, over another": {[]string{blob, cdn, evil}, false},
		"ping elsewhere":               {[]string{ping, evil}, true},
		"ping elsewhere, over another": {[]string{ping, cdn, evil}, true},
		"another's ping elsewhere":     {[]string{"https://" + authHost + "/v2/", evil}, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuard(newPool(t), repository(t, "oci://"+registryHost+"/app", false))
			var r *http.Request
			for _, address := range tt.through {
				r = requestTo(t, address, r)
			}
			r.Header.Set("Authorization", "Basic x")
			out, err := g.checkCredentials(r)
			var redirected *redirectError
			if errors.As(err, &redirected) != tt.refused {
				t.Fatalf("expected it to be refused: %t, found %v", tt.refused, err)
			}
			if err == nil && out.Header.Get("Authorization") != "" {
				t.Error("expected no credentials")
			}
			if g.realm != "" {
				t.Errorf("expected no token server, found %s", g.realm)
			}
		})
	}
}

func TestPlaceOf(t *testing.T) {
	for address, want := range map[string]string{
		"https://Registry.Example.com/v2/":   "registry.example.com:443",
		"http://registry.example.com":        "registry.example.com:80",
		"https://registry.example.com:8443/": "registry.example.com:8443",
		"https://[FD00::1]/":                 "[fd00::1]:443",
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if found := placeOf(u); found != want {
			t.Errorf("%s: expected %s, found %s", address, want, found)
		}
	}
}

// Plain HTTP is for the registry that it is allowed for, which speaks nothing
// else; where that sends us may speak HTTPS.
func TestProtocolOfEachHost(t *testing.T) {
	for address, allowed := range map[string][2]bool{ // without and with insecure
		"https://" + registryHost + "/v2/": {true, false},
		"http://" + registryHost + "/v2/":  {false, true},
		"https://" + evilHost + "/":        {true, true},
		"http://" + evilHost + "/":         {false, true},
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range allowed {
			g := newGuard(newPool(t), repository(t, "oci://"+registryHost+"/app", i == 1))
			if err := g.checkProtocol(u); (err == nil) != want {
				t.Errorf("%s, insecure %t: found %v", address, i == 1, err)
			}
		}
	}
}

// What go-containerregistry reads itself has bounds below it; what we read has
// our own.
func TestGuardBoundsBodies(t *testing.T) {
	const sent = 1 << 20
	host := serve(t, listenTCP(t), func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/error") {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write(make([]byte, sent))
	})
	g := newGuard(newPool(t), repository(t, "oci://"+host+"/app", true))
	for path, want := range map[string]int{"/v2/": maxPingBytes, "/v2/error": maxErrorBytes, "/v2/app/blobs/x": sent} {
		response, err := g.RoundTrip(requestTo(t, "http://"+host+path, nil))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(response.Body)
		if err != nil || len(b) != want {
			t.Errorf("%s: expected %d bytes, found %d, %v", path, want, len(b), err)
		}
		_ = response.Body.Close()
	}
}

// Where a registry is that is named by its address is known before it is asked:
// behind a proxy nobody tells.
func TestGuardOfAnAddress(t *testing.T) {
	for host, internal := range map[string]bool{
		"10.0.0.1": true, "127.0.0.1:5000": true, "localhost:5000": true, "192.0.2.1": false, registryHost: false,
	} {
		if g := newGuard(newPool(t), repository(t, "oci://"+host+"/app", true)); g.internal.Load() != internal {
			t.Errorf("%s: expected internal to be %t", host, internal)
		}
	}
}

// Oracle Cloud's metadata service is in the middle of what is private otherwise.
func TestClassOfOraclesMetadata(t *testing.T) {
	for address, want := range map[string]class{
		"fd00:c1::a9fe:a9fe": forbidden, "fd00:c1::a9fe:0": forbidden, "fd00:c1::a9fd:ffff": private, "fd00:c1::a9ff:0": private,
	} {
		if found := classOf(netip.MustParseAddr(address), nil); found != want {
			t.Errorf("%s: expected %d, found %d", address, want, found)
		}
	}
}
