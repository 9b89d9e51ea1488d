// Package server puts the Sigstore in memory of package sigstore behind HTTP, on
// 127.0.0.1: a certificate authority, logs with the interfaces of Rekor v1 and
// v2, and a timestamp authority. They refuse what the real ones refuse: a proof
// of possession or a signature that does not verify, with the parsers of Rekor
// itself. Any of them can be made to answer something else.
//
// Tokens are not verified: who signed them is not the question here.
package server

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/oauthflow"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/assay-dev/assay/test/sigstore"
)

// The services, as [Servers.Answer] names them.
const (
	Fulcio = "fulcio"
	Rekor1 = "rekor1"
	Rekor2 = "rekor2"
	TSA    = "tsa"
)

// Servers are the services of one instance. They may be used from several
// goroutines.
type Servers struct {
	sigstore *sigstore.Sigstore
	http     map[string]*httptest.Server
	right    map[string]http.HandlerFunc

	mutex   sync.Mutex
	answers map[string]http.HandlerFunc
	asked   map[string]int
	entries map[string][]byte // of Rekor v2, by themselves
}

// Start starts all services. The caller closes them.
func Start(s *sigstore.Sigstore) *Servers {
	all := &Servers{
		sigstore: s, http: map[string]*httptest.Server{}, right: map[string]http.HandlerFunc{}, answers: map[string]http.HandlerFunc{},
		asked: map[string]int{}, entries: map[string][]byte{},
	}
	for name, handle := range map[string]http.HandlerFunc{
		Fulcio: orRefuse(all.fulcio), Rekor1: NewRekor1(s).ServeHTTP, Rekor2: orRefuse(all.rekor2), TSA: orRefuse(all.tsa),
	} {
		all.right[name] = handle
		all.http[name] = httptest.NewServer(all.handler(name))
	}
	return all
}

// Close ends all services.
func (s *Servers) Close() {
	for _, server := range s.http {
		server.Close()
	}
}

// URL is that of a service; of the timestamp authority with its path.
func (s *Servers) URL(name string) string {
	if name == TSA {
		return s.http[name].URL + "/api/v1/timestamp"
	}
	return s.http[name].URL
}

// Answer makes a service answer something else; nil, what is right.
func (s *Servers) Answer(name string, with http.HandlerFunc) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.answers[name] = with
}

// Asked is how many requests a service got.
func (s *Servers) Asked(name string) int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.asked[name]
}

// Right is what a service answers when it is not made to answer something else.
func (s *Servers) Right(name string) http.HandlerFunc { return s.right[name] }

func (s *Servers) handler(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mutex.Lock()
		s.asked[name]++
		answer := s.answers[name]
		s.mutex.Unlock()
		if answer == nil {
			answer = s.right[name]
		}
		answer(w, r)
	}
}

// orRefuse answers an error as the services do.
func orRefuse(handle func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := handle(w, r); err != nil {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"code": 400, "message": err.Error()})
		}
	}
}

// Token is an identity token for somebody, which expires in ten minutes.
func Token(who sigstore.Identity) string { return TokenUntil(who, time.Now().Add(10*time.Minute)) }

// TokenUntil is an identity token that expires at a time.
func TokenUntil(who sigstore.Identity, expires time.Time) string {
	claims := map[string]any{"iss": who.Issuer, "sub": who.Subject, "aud": "sigstore", "exp": expires.Unix()}
	if strings.Contains(who.Subject, "@") && !strings.Contains(who.Subject, "://") {
		claims["email"], claims["email_verified"] = who.Subject, true
	}
	body, err := json.Marshal(claims)
	if err != nil {
		panic(err) // Strings and a number.
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256"}`)) + "." + encode(body) + "." + encode([]byte("a signature that nobody verifies"))
}

// fulcio issues a certificate for whom the token names.
func (s *Servers) fulcio(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost || r.URL.Path != "/api/v2/signingCert" {
		return fmt.Errorf("%s %s", r.Method, r.URL.Path)
	}
	claims, err := claimsOf(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	if err != nil {
		return err
	}
	var asked struct {
		Request struct {
			Key   struct{ Algorithm, Content string } `json:"publicKey"`
			Proof []byte                              `json:"proofOfPossession"`
		} `json:"publicKeyRequest"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		return err
	}
	public, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(asked.Request.Key.Content))
	if err != nil {
		return err
	}
	subject, err := oauthflow.SubjectFromUnverifiedToken(claims)
	if err != nil {
		return err
	}
	verifier, err := signature.LoadDefaultVerifier(public)
	if err != nil {
		return err
	}
	if err := verifier.VerifySignature(bytes.NewReader(asked.Request.Proof), strings.NewReader(subject)); err != nil {
		return fmt.Errorf("the proof of possession: %w", err)
	}
	var issuer struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(claims, &issuer); err != nil {
		return err
	}
	leaf, chain, err := s.sigstore.Certify(sigstore.Identity{Issuer: issuer.Issuer, Subject: subject}, public, sigstore.CertificateOptions{})
	if err != nil {
		return err
	}
	var texts []string
	for _, c := range append([]*x509.Certificate{leaf}, chain...) {
		text, err := cryptoutils.MarshalCertificateToPEM(c)
		if err != nil {
			return err
		}
		texts = append(texts, string(text))
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(map[string]any{"signedCertificateEmbeddedSct": map[string]any{
		"chain": map[string]any{"certificates": texts},
	}})
}

func claimsOf(token string) ([]byte, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("no token")
	}
	return base64.RawURLEncoding.DecodeString(parts[1])
}

// tsa answers a timestamp request, now.
func (s *Servers) tsa(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	request, err := timestamp.ParseRequest(body)
	if err != nil {
		return err
	}
	response, err := s.sigstore.AnswerTimestamp(request, time.Now())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/timestamp-reply")
	w.WriteHeader(http.StatusCreated)
	_, err = w.Write(response)
	return err
}
