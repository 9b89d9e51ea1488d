package signing_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/internal/signing"
	"github.com/assay-dev/assay/internal/verify"
)

// TestOptionsThatAreRefused: what cannot work is refused before anybody is asked.
func TestOptionsThatAreRefused(t *testing.T) {
	const url = "https://sigstore.example"
	token := func(context.Context) (string, error) { t.Error("asked for a token"); return "", nil }
	many := make([]string, 9)
	for i := range many {
		many[i] = url
	}
	keyless := signing.Options{Format: verify.FormatBundle, Token: token, Services: signing.Services{
		Fulcio: url, Logs: []signing.Log{{URL: url, Version: 1}},
	}}
	if err := keyless.Check(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		edit func(*signing.Options)
		want string
	}{
		"no format":      {func(o *signing.Options) { o.Format = "" }, signing.ErrFormat.Error()},
		"no authority":   {func(o *signing.Options) { o.Services.Fulcio = "" }, signing.ErrNobody.Error()},
		"no token":       {func(o *signing.Options) { o.Token = nil }, signing.ErrNobody.Error()},
		"no log":         {func(o *signing.Options) { o.Services.Logs = nil }, signing.ErrUnwitnessed.Error()},
		"no time":        {func(o *signing.Options) { o.Services.Logs[0].Version = 2 }, signing.ErrUnwitnessed.Error()},
		"no version":     {func(o *signing.Options) { o.Services.Logs[0].Version = 0 }, signing.ErrVersion.Error()},
		"many":           {func(o *signing.Options) { o.Services.TimestampAuthorities = many }, signing.ErrTooMany.Error()},
		"no URL":         {func(o *signing.Options) { o.Services.Fulcio = "sigstore.example" }, "expected the URL of a service"},
		"another scheme": {func(o *signing.Options) { o.Services.Logs[0].URL = "file:///etc/passwd" }, "expected the URL of a service"},
		"password":       {func(o *signing.Options) { o.Services.Fulcio = "https://u:secret@sigstore.example" }, "expected the URL of a service"},
	} {
		t.Run(name, func(t *testing.T) {
			o := keyless
			o.Services.Logs = []signing.Log{{URL: url, Version: 1}}
			c.edit(&o)
			if err := o.Check(); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("expected %q, found %v", c.want, err)
			}
		})
	}
}

// config is a signing configuration.
func config(rekor, tsa string) string {
	return fmt.Sprintf(`{
		"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
		"caUrls": [{"url": "https://fulcio.example", "majorApiVersion": 1, "validFor": {"start": "2024-01-01T00:00:00Z"}, "operator": "example"}],
		"rekorTlogUrls": [%s], "rekorTlogConfig": {"selector": "ANY"},
		"tsaUrls": [%s], "tsaConfig": {"selector": "EXACT", "count": 1}
	}`, rekor, tsa)
}

func serviceOf(url string, version int, start string) string {
	return fmt.Sprintf(`{"url": %q, "majorApiVersion": %d, "validFor": {"start": %q}, "operator": %q}`, url, version, start, url)
}

// TestSigningConfig selects services as the configuration asks for.
func TestSigningConfig(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const past, future = "2025-01-01T00:00:00Z", "2027-01-01T00:00:00Z"
	rekor1, rekor2 := serviceOf("https://rekor.example", 1, past), serviceOf("https://log.example", 2, past)
	tsa := serviceOf("https://tsa.example/api/v1/timestamp", 1, past)
	v1, v2 := signing.Log{URL: "https://rekor.example", Version: 1}, signing.Log{URL: "https://log.example", Version: 2}
	stamps := []string{"https://tsa.example/api/v1/timestamp"}
	for name, c := range map[string]struct {
		config          string
		format          verify.Format
		keyless, logged bool
		want            signing.Services
		err             string
	}{
		"all":               {config(rekor1+","+rekor2, tsa), verify.FormatBundle, true, true, signing.Services{Fulcio: "https://fulcio.example", Logs: []signing.Log{v2}, TimestampAuthorities: stamps}, ""},
		"key":               {config(rekor1, tsa), verify.FormatBundle, false, true, signing.Services{Logs: []signing.Log{v1}, TimestampAuthorities: stamps}, ""},
		"v2 format":         {config(rekor1+","+rekor2, tsa), verify.FormatCosign, false, true, signing.Services{Logs: []signing.Log{v1}, TimestampAuthorities: stamps}, ""},
		"no log":            {config(rekor1, tsa), verify.FormatCosign, false, false, signing.Services{TimestampAuthorities: stamps}, ""},
		"none":              {config("", ""), verify.FormatBundle, false, true, signing.Services{}, ""},
		"v2 format, rekor2": {config(rekor2, tsa), verify.FormatCosign, false, true, signing.Services{}, signing.ErrRekor2.Error()},
		"not yet":           {config(serviceOf("https://log.example", 2, future), tsa), verify.FormatBundle, false, true, signing.Services{}, "found too few in rekorTlogUrls"},
		"no authority yet":  {config(rekor1, serviceOf("https://tsa.example", 1, future)), verify.FormatBundle, false, true, signing.Services{}, "found too few in tsaUrls"},
		"not JSON":          {"secret", verify.FormatBundle, false, true, signing.Services{}, "expected JSON of the media type"},
		"trusted root":      {`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`, verify.FormatBundle, false, true, signing.Services{}, "expected JSON of the media type"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := signing.ServicesOf([]byte(c.config), c.format, c.keyless, c.logged, now)
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Fatalf("expected %q, found %v", c.err, err)
			}
			if diff := cmp.Diff(c.want, got); err == nil && diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if _, err := signing.ServicesOf([]byte(config(rekor2, "")), verify.FormatCosign, false, true, now); !errors.Is(err, signing.ErrRekor2) {
		t.Errorf("expected ErrRekor2, found %v", err)
	}
}

// TestAttachNothing: what the registry does not have is not signed there.
func TestAttachNothing(t *testing.T) {
	w := newWorld(t, true)
	for _, format := range formats {
		missing := w.digest.Context().Digest("sha256:" + strings.Repeat("0", 64))
		if err := signing.Exists(t.Context(), missing); err == nil {
			t.Error("it exists")
		}
		if _, err := sign(t, w.options(format, newKey(t, "p256")), missing); err == nil {
			t.Error("signed")
		}
		if got := w.attached(t, missing); len(got) != 0 {
			t.Errorf("%d signatures are attached", len(got))
		}
	}
	if err := signing.Exists(t.Context(), w.digest); err != nil {
		t.Error(err)
	}
}
