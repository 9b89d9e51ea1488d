package registry

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The hosts of these tests.
const (
	registryHost = "registry.example.com"
	authHost     = "auth.example.com"
	evilHost     = "evil.example.com"
)

// Secrets that must not go astray.
const (
	basicSecret    = "dTpwYXNzd29yZA==" // u:password
	identitySecret = "identity-of-ours"
	tokenSecret    = "token-of-ours"
)

// hosts are several servers in one, which keep what they are sent.
type hosts struct {
	answer map[string]http.HandlerFunc // by host and port, as in the request

	mu   sync.Mutex
	seen []sent
}

type sent struct{ host, method, path, everything string }

func (h *hosts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	everything := fmt.Sprint(r.URL, " ", r.Header, " ", string(body))
	h.mu.Lock()
	h.seen = append(h.seen, sent{r.Host, r.Method, r.URL.Path, everything})
	h.mu.Unlock()
	if answer := h.answer[r.Host]; answer != nil {
		answer(w, r)
		return
	}
	_, _ = io.WriteString(w, `{"token":"theirs","tags":["1.0.0"],"manifests":[]}`)
}

// told lists the hosts that were told a secret.
func (h *hosts) told(secret string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for _, s := range h.seen {
		if strings.Contains(s.everything, secret) && !slices.Contains(all, s.host) {
			all = append(all, s.host)
		}
	}
	slices.Sort(all)
	return all
}

func redirectTo(target string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target, http.StatusTemporaryRedirect)
	}
}

// challenging asks who does not authenticate for it, and answers others by then.
func challenging(challenge string, then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		then(w, r)
	}
}

func issuing(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, `{"token":"`+tokenSecret+`"}`)
}

const bearer = `Bearer realm="https://` + authHost + `/token",service="x",scope="repository:app:pull"`

// schemes are ways to authenticate: the challenge, what the credentials are, and
// who is told them, and a token, when all is well.
var schemes = map[string]struct {
	challenge string
	config    string
	secrets   map[string][]string
}{
	"basic": {"Basic realm=x", `"username":"u","password":"password"`, map[string][]string{basicSecret: {registryHost}}},
	"token": {bearer, `"username":"u","password":"password"`, map[string][]string{basicSecret: {authHost}, tokenSecret: {registryHost}}},
	"identity token": {bearer, `"username":"<token>","identitytoken":"` + identitySecret + `"`,
		map[string][]string{identitySecret: {authHost}, tokenSecret: {registryHost}}},
	"registry token": {bearer, `"registrytoken":"` + tokenSecret + `"`, map[string][]string{tokenSecret: {registryHost}}},
}

// flow runs a request of a registry with credentials, and returns who was told
// what.
func flow(t *testing.T, config string, h *hosts, request string) (map[string][]string, error) {
	t.Helper()
	ca := newAuthority(t)
	all := []string{registryHost, authHost, evilHost, "cdn." + registryHost, "example.com"}
	server := serveTLS(t, ca.issue(t, time.Now().Add(time.Hour), all...), h.ServeHTTP)
	plain := serve(t, listenTCP(t), h.ServeHTTP)
	n := &names{addresses: map[string]string{}}
	for _, host := range all {
		n.addresses[host+":443"], n.addresses[host+":8443"], n.addresses[host+":80"] = server, server, plain
	}
	p := strict(t, n, ca)
	repo := repository(t, "oci://"+registryHost+"/app", false)
	credentials, err := ParseDockerConfig([]byte(`{"auths":{"`+registryHost+`":{`+config+`}}}`), repo)
	if err != nil {
		t.Fatal(err)
	}
	err = requests[request](t.Context(), p.Client(repo, credentials))
	told := map[string][]string{}
	for _, secret := range []string{basicSecret, identitySecret, tokenSecret} {
		if who := h.told(secret); who != nil {
			told[secret] = who
		}
	}
	return told, err
}

// wantTold compares who was told what: nobody else than when all is well.
func wantTold(t *testing.T, found, allowed map[string][]string) {
	t.Helper()
	for secret, who := range found {
		for _, host := range who {
			if !slices.Contains(allowed[secret], host) {
				t.Errorf("%s was told %s", host, secret)
			}
		}
	}
}

// Wherever a registry redirects which request, credentials and tokens stay
// behind.
func TestRedirectsCarryNoCredentials(t *testing.T) {
	targets := map[string]string{
		"another host":  "https://" + evilHost + "/x",
		"a subdomain":   "https://cdn." + registryHost + "/x",
		"the domain":    "https://example.com/x",
		"another port":  "https://" + registryHost + ":8443/x",
		"plain HTTP":    "http://" + registryHost + "/x",
		"and back":      "https://" + evilHost + "/back",
		"with a user":   "https://u:password@" + evilHost + "/x",
		"to the realm":  "https://" + authHost + "/x",
		"one who asks":  "https://" + evilHost + "/asks",
		"one who posts": "https://" + evilHost + "/asks-for-basic",
	}
	for scheme, s := range schemes {
		for name, target := range targets {
			for request := range requests {
				if request == "ping" {
					continue
				}
				t.Run(scheme+" "+name+" "+request, func(t *testing.T) {
					t.Parallel()
					h := &hosts{answer: map[string]http.HandlerFunc{
						registryHost: challenging(s.challenge, func(w http.ResponseWriter, r *http.Request) {
							if r.URL.Path == pingPath || r.URL.Path == "/end" {
								return
							}
							redirectTo(target)(w, r)
						}),
						authHost: func(w http.ResponseWriter, r *http.Request) {
							if r.URL.Path == "/token" {
								issuing(w, r)
							}
						},
						evilHost: func(w http.ResponseWriter, r *http.Request) {
							switch r.URL.Path {
							case "/back":
								redirectTo("https://"+registryHost+"/end")(w, r)
							case "/asks":
								challenging(`Bearer realm="https://`+evilHost+`/token",service="x",scope="y"`, issuing)(w, r)
							case "/asks-for-basic":
								challenging(`Basic realm="x"`, issuing)(w, r)
							case "/token":
								_, _ = io.WriteString(w, `{"token":"theirs"}`)
							}
						},
					}}
					told, _ := flow(t, s.config, h, request)
					allowed := s.secrets
					if name == "with a user" {
						// What the other host is sent, it wrote itself.
						delete(told, basicSecret)
					}
					wantTold(t, told, allowed)
					for secret := range allowed {
						if told[secret] == nil && name != "with a user" {
							t.Errorf("expected %s to be used, found nobody who was told", secret)
						}
					}
				})
			}
		}
	}
}

// Who says where the credentials go is the registry, and nobody else.
func TestWhoNamesTheTokenServer(t *testing.T) {
	elsewhere := `Bearer realm="https://` + evilHost + `/token",service="x",scope="y"`
	redirecting := map[string]http.HandlerFunc{
		"the ping leads to another host": redirectTo("https://" + evilHost + "/v2/"),
		"the ping leads to another port": redirectTo("https://" + registryHost + ":8443/v2/"),
		"the ping leads there and back": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery == "" {
				redirectTo("https://"+evilHost+"/back")(w, r)
			} else {
				challenging(bearer, nil)(w, r)
			}
		},
		"the ping is pointed at plain HTTP": redirectTo("http://" + registryHost + "/v2/"),
	}
	for scheme, s := range schemes {
		for name, ping := range redirecting {
			t.Run(scheme+" "+name, func(t *testing.T) {
				h := &hosts{answer: map[string]http.HandlerFunc{
					registryHost: func(w http.ResponseWriter, r *http.Request) {
						if r.URL.Path == pingPath {
							ping(w, r)
						}
					},
					registryHost + ":8443": challenging(elsewhere, nil),
					evilHost: func(w http.ResponseWriter, r *http.Request) {
						if r.URL.Path == "/back" {
							redirectTo("https://"+registryHost+"/v2/?x")(w, r)
							return
						}
						challenging(elsewhere, issuing)(w, r)
					},
				}}
				told, err := flow(t, s.config, h, "head")
				wantReason(t, err, RegistryUnavailable)
				wantTold(t, told, nil)
			})
		}
		// One that names another token server when it is asked again.
		t.Run(scheme+" another realm later", func(t *testing.T) {
			h := &hosts{answer: map[string]http.HandlerFunc{
				registryHost: func(w http.ResponseWriter, r *http.Request) {
					challenge := s.challenge
					if r.URL.Path != pingPath {
						challenge = elsewhere
					}
					w.Header().Set("WWW-Authenticate", challenge)
					w.WriteHeader(http.StatusUnauthorized)
				},
				authHost: issuing,
			}}
			told, err := flow(t, s.config, h, "head")
			wantReason(t, err, AuthenticationFailed)
			wantTold(t, told, s.secrets)
		})
		// A token server that is not encrypted.
		t.Run(scheme+" plain HTTP", func(t *testing.T) {
			h := &hosts{answer: map[string]http.HandlerFunc{
				registryHost: challenging(strings.Replace(s.challenge, "https:", "http:", 1), func(http.ResponseWriter, *http.Request) {}),
			}}
			told, _ := flow(t, s.config, h, "blob")
			delete(told, "")
			wantTold(t, told, map[string][]string{basicSecret: {registryHost}, tokenSecret: {registryHost}})
			for _, s := range h.seen {
				if s.host == authHost {
					t.Errorf("expected the token server to be left alone, found %s %s", s.method, s.path)
				}
			}
		})
	}
}

// A token server cannot pass on what it is sent, by whatever redirect.
func TestTokenServerThatRedirects(t *testing.T) {
	for _, scheme := range []string{"token", "identity token"} {
		for _, code := range []int{301, 302, 303, 307, 308} {
			for _, target := range []string{"https://" + evilHost + "/token", "https://cdn." + registryHost + "/token", "http://" + authHost + "/token", "https://" + authHost + ":8443/token"} {
				t.Run(fmt.Sprintf("%s %d %s", scheme, code, target), func(t *testing.T) {
					t.Parallel()
					s := schemes[scheme]
					h := &hosts{answer: map[string]http.HandlerFunc{
						registryHost: challenging(s.challenge, func(http.ResponseWriter, *http.Request) {}),
						authHost:     func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, code) },
					}}
					told, _ := flow(t, s.config, h, "head")
					wantTold(t, told, s.secrets)
				})
			}
		}
	}
	// To itself it may.
	for _, scheme := range []string{"token", "identity token"} {
		s := schemes[scheme]
		h := &hosts{answer: map[string]http.HandlerFunc{
			registryHost: challenging(s.challenge, func(http.ResponseWriter, *http.Request) {}),
			authHost: func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					redirectTo("https://"+authHost+"/token/")(w, r)
					return
				}
				issuing(w, r)
			},
		}}
		told, err := flow(t, s.config, h, "blob")
		if err != nil {
			t.Errorf("%s: %v", scheme, err)
		}
		wantTold(t, told, s.secrets)
	}
}

// Credentials are sent to nobody whose certificate does not verify.
func TestCredentialsAreEncrypted(t *testing.T) {
	for scheme, s := range schemes {
		ca := newAuthority(t)
		h := &hosts{answer: map[string]http.HandlerFunc{registryHost: challenging(s.challenge, func(http.ResponseWriter, *http.Request) {}), authHost: issuing}}
		registry := serveTLS(t, ca.issue(t, time.Now().Add(time.Hour), registryHost), h.ServeHTTP)
		auth := serveTLS(t, newAuthority(t).issue(t, time.Now().Add(time.Hour), authHost), h.ServeHTTP) // By another authority.
		p := strict(t, &names{addresses: map[string]string{registryHost + ":443": registry, authHost + ":443": auth}}, ca)
		repo := repository(t, "oci://"+registryHost+"/app", false)
		credentials, err := ParseDockerConfig([]byte(`{"auths":{"`+registryHost+`":{`+s.config+`}}}`), repo)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Client(repo, credentials).smallBlob(t.Context(), digestOf(nil), 0)
		if (err == nil) == (scheme == "token" || scheme == "identity token") {
			t.Errorf("%s: found %v", scheme, err)
		}
		if who := append(h.told(basicSecret), h.told(identitySecret)...); slices.Contains(who, authHost) {
			t.Errorf("%s: %v were told", scheme, who)
		}
	}
}

// Whatever the library above it does, the guard lets nothing through.
func TestGuardTakesCredentialsOut(t *testing.T) {
	guarded := func(negotiated bool) *guard {
		g := newGuard(newPool(t), repository(t, "oci://"+registryHost+"/app", false))
		if negotiated {
			g.endHandshake()
		} else if !g.isRealm(authHost+":443", true) {
			t.Fatal("expected a token server to be believed")
		}
		return g
	}
	request := func(method, url, authorization string) *http.Request {
		r, err := http.NewRequest(method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", authorization)
		r.Header.Set("Referer", "https://"+registryHost+"/secret")
		return r
	}
	tests := map[string]struct {
		g       *guard
		r       *http.Request
		kept    bool
		refused bool
	}{
		"to the registry":                 {guarded(false), request("GET", "https://"+registryHost+"/v2/app", "Bearer x"), true, false},
		"to the registry, with its port":  {guarded(false), request("GET", "https://"+strings.ToUpper(registryHost)+":443/v2/app", "Bearer x"), true, false},
		"to its token server":             {guarded(false), request("GET", "https://"+authHost+"/token", "Basic x"), true, false},
		"in the body":                     {guarded(false), request("POST", "https://"+authHost+"/token", ""), true, false},
		"a token to the token server":     {guarded(false), request("GET", "https://"+authHost+"/token", "Bearer x"), false, false},
		"to another port of it":           {guarded(false), request("GET", "https://"+authHost+":8443/token", "Basic x"), false, false},
		"to another host":                 {guarded(false), request("GET", "https://"+evilHost+"/", "Basic x"), false, false},
		"a token to another host":         {guarded(false), request("HEAD", "https://"+evilHost+"/", "Bearer x"), false, false},
		"in the body to another host":     {guarded(false), request("POST", "https://"+evilHost+"/", ""), false, true},
		"to a token server that is named": {guarded(true), request("GET", "https://"+evilHost+"/token", "Basic x"), false, false},
		"in the body to one":              {guarded(true), request("POST", "https://"+evilHost+"/token", ""), false, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			before := tt.r.Header.Clone()
			out, err := tt.g.checkCredentials(tt.r)
			if (err != nil) != tt.refused {
				t.Fatalf("expected it to be refused: %t, found %v", tt.refused, err)
			}
			if diff := cmp.Diff(before, tt.r.Header); diff != "" {
				t.Errorf("the caller's request was changed:\n%s", diff)
			}
			if err != nil {
				return
			}
			if found := out.Header.Get("Authorization") == before.Get("Authorization") && out.Header.Get("Referer") != ""; found != tt.kept {
				t.Errorf("expected its headers to be kept: %t, found %v", tt.kept, out.Header)
			}
		})
	}
}
