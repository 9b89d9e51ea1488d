package signing

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"path"
	"regexp"

	bundlepb "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	rekorpb "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	tiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"github.com/sigstore/rekor/pkg/generated/client/entries"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"google.golang.org/protobuf/encoding/protojson"
)

// record has a signature recorded in a log, and adds the entry to the bundle.
// verifier is the certificate or the public key, in PEM.
func record(ctx context.Context, o Options, l Log, verifier []byte, b *bundlepb.Bundle) (err error) {
	s := service{what: "the transparency log", url: l.URL, userAgent: o.UserAgent}
	notOne := s.problem("expected an entry for the signature, found something else")
	// The library goes through an answer without looking whether all of it is
	// there.
	defer func() {
		if recover() != nil {
			err = notOne
		}
	}()
	client := &rekorClient{ctx: ctx, service: s}
	rekor := sign.NewRekor(&sign.RekorOptions{BaseURL: l.URL, Version: l.Version, Client: client, ClientV2: client})
	before := len(b.VerificationMaterial.TlogEntries)
	if err := rekor.GetTransparencyLogEntry(ctx, verifier, b); err != nil {
		if client.failed != nil {
			return client.failed
		}
		return notOne
	}
	if !isEntryOf(b.VerificationMaterial.TlogEntries[before], verifier, signatureOf(b)) {
		return s.problem("expected an entry for the signature, found one for another")
	}
	return nil
}

// signatureOf is the raw signature in a bundle.
func signatureOf(b *bundlepb.Bundle) []byte {
	if signatures := b.GetDsseEnvelope().GetSignatures(); len(signatures) == 1 {
		return signatures[0].GetSig()
	}
	return b.GetMessageSignature().GetSignature()
}

// isEntryOf reports whether an entry is about this signature by this key or
// certificate.
func isEntryOf(entry *rekorpb.TransparencyLogEntry, verifier, signed []byte) bool {
	e, err := tlog.ParseTransparencyLogEntry(entry)
	if err != nil || !bytes.Equal(e.Signature(), signed) {
		return false
	}
	block, _ := pem.Decode(verifier)
	if certificate, ok := e.PublicKey().(*x509.Certificate); ok {
		return bytes.Equal(certificate.Raw, block.Bytes)
	}
	der, err := x509.MarshalPKIXPublicKey(e.PublicKey())
	return err == nil && bytes.Equal(der, block.Bytes)
}

// rekorClient speaks to a log of either version.
type rekorClient struct {
	ctx     context.Context
	service service
	// failed is the error that the library was returned.
	failed error
}

func (c *rekorClient) ask(r request) (answer, error) {
	a, err := c.service.ask(c.ctx, r)
	c.failed = err
	return a, err
}

var jsonHeader = map[string]string{"Content-Type": "application/json", "Accept": "application/json"}

// CreateLogEntry adds an entry to a log of Rekor v1, which answers 409 if it has
// it already.
// https://github.com/sigstore/rekor/blob/main/openapi.yaml
func (c *rekorClient) CreateLogEntry(params *entries.CreateLogEntryParams, _ ...entries.ClientOption) (*entries.CreateLogEntryCreated, error) {
	body, err := json.Marshal(params.ProposedEntry)
	if err != nil {
		return nil, err
	}
	a, err := c.ask(request{
		method: http.MethodPost, path: "/api/v1/log/entries", header: jsonHeader, body: body,
		statuses: []int{http.StatusCreated, http.StatusConflict},
	})
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusConflict {
		return c.existing(path.Base(a.header.Get("Location")))
	}
	return c.created(a.body)
}

// created reads the one entry of an answer.
func (c *rekorClient) created(body []byte) (*entries.CreateLogEntryCreated, error) {
	var all models.LogEntry
	if err := json.Unmarshal(body, &all); err != nil || len(all) != 1 {
		return nil, fmt.Errorf("expected one log entry")
	}
	created := &entries.CreateLogEntryCreated{Payload: all}
	for id := range all {
		created.ETag = id
	}
	return created, nil
}

// entryID is how Rekor v1 names an entry: of a tree, or of the log.
var entryID = regexp.MustCompile(`^[0-9a-f]{64}([0-9a-f]{16})?$`)

// existing fetches the entry that the log has already. Keys of RSA sign the same
// document in the same way each time.
func (c *rekorClient) existing(id string) (*entries.CreateLogEntryCreated, error) {
	if !entryID.MatchString(id) {
		return nil, fmt.Errorf("expected the name of a log entry")
	}
	a, err := c.ask(request{method: http.MethodGet, path: "/api/v1/log/entries/" + id, header: jsonHeader, statuses: []int{http.StatusOK}})
	if err != nil {
		return nil, err
	}
	return c.created(a.body)
}

// GetLogEntryByUUID is not called: CreateLogEntry follows a conflict itself.
func (c *rekorClient) GetLogEntryByUUID(*entries.GetLogEntryByUUIDParams, ...entries.ClientOption) (*entries.GetLogEntryByUUIDOK, error) {
	return nil, fmt.Errorf("expected no conflict")
}

// Add adds an entry to a log of Rekor v2.
// https://github.com/sigstore/rekor-tiles/blob/main/openapi/rekor-service.swagger.json
func (c *rekorClient) Add(_ context.Context, entry any) (*rekorpb.TransparencyLogEntry, error) {
	hashed, ok := entry.(*tiles.HashedRekordRequestV002)
	if !ok {
		return nil, fmt.Errorf("expected a hashedrekord, found a %T", entry)
	}
	body, err := protojson.Marshal(&tiles.CreateEntryRequest{
		Spec: &tiles.CreateEntryRequest_HashedRekordRequestV002{HashedRekordRequestV002: hashed},
	})
	if err != nil {
		return nil, err
	}
	a, err := c.ask(request{method: http.MethodPost, path: "/api/v2/log/entries", header: jsonHeader, body: body, statuses: []int{http.StatusCreated, http.StatusConflict}})
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusConflict {
		c.failed = c.service.problem("expected a new entry, found that the log has this very signature already: keys of RSA and Ed25519 sign alike each time, and the log does not give out an entry again. A key of P-256 signs anew")
		return nil, c.failed
	}
	made := new(rekorpb.TransparencyLogEntry)
	return made, protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(a.body, made)
}
