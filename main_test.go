package main

import (
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// TestFlagsAreDocumented compares the flags and their defaults with the table
// in docs/operating.md.
func TestFlagsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	row := regexp.MustCompile("(?m)^\\| (`--[^|]+`) \\| ([^|]*) \\|")
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		names := strings.Split(m[1], ", ")
		defaults := strings.Split(strings.TrimSpace(m[2]), ", ")
		for i, name := range names {
			value := ""
			if i < len(defaults) {
				value = defaults[i]
			}
			documented[strings.Trim(name, "`-")] = value
		}
	}
	inWords := map[string]string{
		"pod-ip": "none", "storage-adv-addr": "host name and port", "leader-election-namespace": "the Pod's",
		"watch-namespaces": "all", "watch-label-selector": "all", "artifact-retention": "10m",
		"trusted-root": "none", "events-addr": "none", "pprof-addr": "none", "log-level-file": "none", "dial-allow": "none", "otlp-endpoint": "none", "tuf-mirror": "Sigstore's", "tuf-root": "Sigstore's",
	}
	found := map[string]string{}
	(&flags{}).set().VisitAll(func(f *pflag.Flag) {
		found[f.Name] = f.DefValue
		if text, ok := inWords[f.Name]; ok {
			found[f.Name] = text
		}
	})
	if diff := cmp.Diff(found, documented); diff != "" {
		t.Errorf("docs/operating.md differs from the flags (-flags +document):\n%s", diff)
	}
}

func TestFlagsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown":             {[]string{"--verify=false"}, "unknown flag: --verify"},
		"argument":            {[]string{"serve"}, `expected flags only, found "serve"`},
		"no workers":          {[]string{"--concurrent=0"}, "--concurrent: expected at least 1, found 0"},
		"no bytes":            {[]string{"--artifact-max-bytes=0"}, "--artifact-max-bytes: expected at least 1, found 0"},
		"negative ratio":      {[]string{"--artifact-max-ratio=-1"}, "--artifact-max-ratio: expected at least 1, found -1"},
		"negative retention":  {[]string{"--artifact-retention=-1s"}, "--artifact-retention: expected 0 or more, found -1s"},
		"no requests":         {[]string{"--kube-api-qps=0"}, "--kube-api-qps: expected more than 0, found 0"},
		"no address":          {[]string{"--dial-allow=127.0.0.1,registry.internal"}, `--dial-allow: expected addresses or CIDRs such as 127.0.0.0/8, found "registry.internal"`},
		"no address of a Pod": {[]string{"--pod-ip=$(POD_IP)"}, `--pod-ip: expected an IP address, found "$(POD_IP)"`},
		"everybody's address": {[]string{"--pod-ip=::"}, `--pod-ip: expected the address of one host, found "::"`},
		"an address's zone":   {[]string{"--pod-ip=fe80::1%eth0"}, `--pod-ip: expected the address of one host, found "fe80::1%eth0"`},
		"profiles for all":    {[]string{"--pprof-addr=0.0.0.0:6060"}, `--pprof-addr: expected a port, or a loopback address and a port, found "0.0.0.0:6060"`},
		"profiles by a name":  {[]string{"--pprof-addr=localhost:6060"}, "--pprof-addr: expected a port"},
		"profiles at no port": {[]string{"--pprof-addr=127.0.0.1:0"}, "--pprof-addr: expected a port"},
		"events to no URL":    {[]string{"--events-addr=notification-controller:80"}, "--events-addr: expected an http or https URL"},
		"events by a user":    {[]string{"--events-addr=http://u:p@host/"}, "--events-addr: expected an http or https URL"},
		"an empty namespace":  {[]string{"--watch-namespaces=a,"}, "--watch-namespaces: expected names, found an empty one"},
		"no collector":        {[]string{"--otlp-endpoint=collector:4318"}, "--otlp-endpoint: expected http://"},
		"a password":          {[]string{"--otlp-endpoint=http://u:p@collector"}, "--otlp-endpoint: expected http://"},
		"no traces":           {[]string{"--otlp-sampling-ratio=0"}, "--otlp-sampling-ratio: expected a number above 0 and up to 1, found 0"},
		"too many traces":     {[]string{"--otlp-sampling-ratio=1.5"}, "--otlp-sampling-ratio: expected a number above 0 and up to 1, found 1.5"},
		"two problems at all": {[]string{"--concurrent=0", "--kube-api-burst=0"}, "--kube-api-burst: expected at least 1, found 0"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(c.args)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("expected an error with %q, found %v", c.want, err)
			}
		})
	}
}

func TestLoggerRefusesUnknownSettings(t *testing.T) {
	for _, c := range [][2]string{{"loud", "json"}, {"info", "xml"}} {
		if _, err := logger(c[0], c[1], &slog.LevelVar{}); err == nil {
			t.Errorf("--log-level=%s --log-format=%s: expected an error, found none", c[0], c[1])
		}
	}
	levels := []string{"debug", "info", "warn", "error"}
	if slices.ContainsFunc(levels, func(l string) bool { _, err := logger(l, "text", &slog.LevelVar{}); return err != nil }) {
		t.Errorf("expected %v to be accepted", levels)
	}
}

func TestPprofIsOnLoopback(t *testing.T) {
	for text, want := range map[string]string{
		"6060": "127.0.0.1:6060", ":6060": "127.0.0.1:6060", "127.0.0.1:6060": "127.0.0.1:6060", "127.0.0.2:1": "127.0.0.2:1", "[::1]:6060": "[::1]:6060",
	} {
		f, err := parse([]string{"--pprof-addr", text})
		if err != nil || f.options.PprofAddr != want {
			t.Errorf("%s: expected %s, found %s, %v", text, want, f.options.PprofAddr, err)
		}
	}
}
