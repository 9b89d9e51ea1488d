// Command assay-controller verifies the signatures of OCI modules that
// ModuleSources name, and publishes to the cluster what is verified.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strconv"

	"github.com/spf13/pflag"
	_ "golang.org/x/crypto/x509roots/fallback" // The image has no certificate authorities.
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/tracing"
)

// version is set by the linker.
var version string

func main() {
	err := run(ctrl.SetupSignalHandler(), os.Args[1:])
	if errors.Is(err, pflag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "assay-controller:", err)
		os.Exit(1)
	}
}

// run starts the controller with the given flags, until ctx ends.
func run(ctx context.Context, args []string) error {
	f, err := parse(args)
	if err != nil {
		return err
	}
	if f.version {
		fmt.Println("assay-controller", versionText())
		return nil
	}
	var level slog.LevelVar
	log, err := logger(f.logLevel, f.logFormat, &level)
	if err != nil {
		return err
	}
	ctrl.SetLogger(log)
	klog.SetLogger(log)

	kubeconfig, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("no API server: outside a cluster, set KUBECONFIG: %w", err)
	}
	kubeconfig.QPS, kubeconfig.Burst = f.kubeQPS, f.kubeBurst
	if f.tufRoot != "" {
		if f.options.TUFRoot, err = os.ReadFile(f.tufRoot); err != nil {
			return fmt.Errorf("--tuf-root: %w", err)
		}
	}
	f.options.Log = log
	f.options.Version = versionText()
	f.options.UserAgent = "assay-controller/" + versionText()
	log.Info("starting", "version", versionText())
	if f.logLevelFile != "" {
		go followLevel(ctx, f.logLevelFile, &level, log)
	}
	return controllers.Run(ctx, kubeconfig, f.options)
}

type flags struct {
	options      controllers.Options
	kubeQPS      float32
	kubeBurst    int
	logLevel     string
	logFormat    string
	logLevelFile string
	pprofAddr    string
	version      bool
	tufRoot      string
	dialAllow    []string
	podIP        string
	otlp         string
}

func parse(args []string) (*flags, error) {
	f := &flags{}
	s := f.set()
	if err := s.Parse(args); err != nil {
		return nil, err
	}
	if s.NArg() > 0 {
		return nil, fmt.Errorf("expected flags only, found %q", s.Arg(0))
	}
	return f, f.validate()
}

// set defines the flags.
func (f *flags) set() *pflag.FlagSet {
	o, s := &f.options, pflag.NewFlagSet("assay-controller", pflag.ContinueOnError)
	s.SortFlags = false
	s.IntVar(&o.Concurrent, "concurrent", 8, "how many verdicts and publications are at work at the same time, and how many ModuleSources ask one registry")
	s.StringVar(&o.StoragePath, "storage-path", "/data", "folder for published artifacts; a cache, which may be lost")
	s.StringVar(&o.StorageAddr, "storage-addr", ":9090", "address on which artifacts are served over HTTP")
	s.StringVar(&o.StorageAdvAddr, "storage-adv-addr", "", "host and port of the artifacts' URLs in status; default: this host's name and the port of --storage-addr")
	s.StringVar(&f.podIP, "pod-ip", "", "address at which other replicas reach this one's artifacts, at the port of --storage-addr; it is written into the Lease. Default: none, and they answer 503")
	s.DurationVar(&o.ArtifactRetention, "artifact-retention", controllers.DefaultArtifactRetention, "how long an artifact is served after a newer one replaced it")
	s.Int64Var(&o.ArtifactLimits.ArchiveBytes, "artifact-max-bytes", controllers.DefaultArtifactLimits.ArchiveBytes, "most bytes of an artifact's files together, and of its compressed layers together")
	s.IntVar(&o.ArtifactLimits.Files, "artifact-max-files", controllers.DefaultArtifactLimits.Files, "most entries in an artifact's layers")
	s.Int64Var(&o.ArtifactLimits.Ratio, "artifact-max-ratio", controllers.DefaultArtifactLimits.Ratio, "most uncompressed bytes for each compressed byte of a layer")
	s.StringVar(&o.MetricsAddr, "metrics-addr", ":8080", "address of the Prometheus metrics; 0 for none")
	s.StringVar(&o.HealthAddr, "health-addr", ":8081", "address of /healthz and /readyz; 0 for none")
	s.StringVar(&f.pprofAddr, "pprof-addr", "", "address of Go's profiles, a port of loopback such as 6060, for kubectl port-forward; they tell much of what is in memory and must not be exposed. Default: none")
	s.StringVar(&o.EventsAddr, "events-addr", "", "URL of Flux's notification-controller, which is told of every transition; default: none")
	s.BoolVar(&o.LeaderElect, "leader-elect", false, "run only while holding a Lease, so that one of several replicas works")
	s.StringVar(&o.LeaderElectionNamespace, "leader-election-namespace", "", "namespace of the Lease; default: the Pod's own")
	s.StringSliceVar(&o.WatchNamespaces, "watch-namespaces", nil, "namespaces to watch, separated by commas; default: all")
	s.StringVar(&o.WatchLabelSelector, "watch-label-selector", "", "label selector of the ModuleSources to watch; default: all")
	s.BoolVar(&o.AllowInsecureCredentials, "allow-insecure-credentials", false, "send credentials over plain HTTP where a ModuleSource has both insecure: true and secretRef")
	s.BoolVar(&o.WatchReferences, "watch-references", true, "watch the metadata of Secrets and ConfigMaps, to judge again as soon as one changes that a ModuleSource names; needs the right to list and watch them, and false waits for the next poll")
	s.DurationVar(&o.TrustGrace, "trust-grace", controllers.DefaultTrustGrace, "how long a Secret or ConfigMap that spec.verify names may be gone before what was verified by it is withdrawn")
	s.StringSliceVar(&f.dialAllow, "dial-allow", nil, "addresses or CIDRs, separated by commas, that registries may be at although they are loopback, link-local or a metadata service; default: none")
	s.StringVar(&o.TrustedRoot, "trusted-root", "", "file with a Sigstore trusted_root.json, by which ModuleSources that name none are judged; read again when it changes")
	s.StringVar(&o.TUFMirror, "tuf-mirror", "", "URL of a TUF repository to take it from instead, together with --tuf-root; default: Sigstore's public instance")
	s.StringVar(&f.tufRoot, "tuf-root", "", "file with the first root.json of --tuf-mirror, which it is trusted by")
	s.StringVar(&f.otlp, "otlp-endpoint", "", "base URL of an OpenTelemetry collector that traces are sent to, over OTLP and HTTP, such as http://collector:4318; default: none are")
	s.Float64Var(&o.OTLPSamplingRatio, "otlp-sampling-ratio", 1, "part of all traces that is sent, above 0 and up to 1")
	s.Float32Var(&f.kubeQPS, "kube-api-qps", 50, "requests a second to the API server, on average")
	s.IntVar(&f.kubeBurst, "kube-api-burst", 100, "requests to the API server at once")
	s.StringVar(&f.logLevel, "log-level", "info", "least level to log: debug, info, warn, error")
	s.StringVar(&f.logLevelFile, "log-level-file", "", "file with another level, such as a mounted ConfigMap's, which is read every few seconds; --log-level counts while it is not there")
	s.StringVar(&f.logFormat, "log-format", "json", "format of the log: json, text")
	s.BoolVar(&f.version, "version", false, "print the version and exit")
	return s
}

// validate refuses values that would weaken or stop the controller in ways
// that nobody would notice.
func (f *flags) validate() error {
	o := &f.options
	var errs []error
	for _, positive := range []struct {
		flag  string
		value int64
	}{
		{"concurrent", int64(o.Concurrent)},
		{"artifact-max-bytes", o.ArtifactLimits.ArchiveBytes},
		{"artifact-max-files", int64(o.ArtifactLimits.Files)},
		{"artifact-max-ratio", o.ArtifactLimits.Ratio},
		{"kube-api-burst", int64(f.kubeBurst)},
	} {
		if positive.value < 1 {
			errs = append(errs, fmt.Errorf("--%s: expected at least 1, found %d", positive.flag, positive.value))
		}
	}
	if o.ArtifactRetention < 0 {
		errs = append(errs, fmt.Errorf("--artifact-retention: expected 0 or more, found %s", o.ArtifactRetention))
	}
	if o.TrustGrace < 0 {
		errs = append(errs, fmt.Errorf("--trust-grace: expected 0 or more, found %s", o.TrustGrace))
	}
	allowed, err := registry.ParseDialAllow(f.dialAllow)
	if err != nil {
		errs = append(errs, fmt.Errorf("--dial-allow: %w", err))
	}
	o.DialAllow = allowed
	if f.podIP != "" {
		if o.PodIP, err = controllers.ParsePodIP(f.podIP); err != nil {
			errs = append(errs, fmt.Errorf("--pod-ip: %w", err))
		}
	}
	if f.pprofAddr != "" {
		if o.PprofAddr, err = loopback(f.pprofAddr); err != nil {
			errs = append(errs, fmt.Errorf("--pprof-addr: %w", err))
		}
	}
	if o.EventsAddr != "" {
		if err := controllers.CheckEventsAddr(o.EventsAddr); err != nil {
			errs = append(errs, fmt.Errorf("--events-addr: %w", err))
		}
	}
	if f.otlp != "" {
		if o.OTLPEndpoint, err = tracing.ParseEndpoint(f.otlp); err != nil {
			errs = append(errs, fmt.Errorf("--otlp-endpoint: %w", err))
		}
	}
	if err := tracing.ParseRatio(o.OTLPSamplingRatio); err != nil {
		errs = append(errs, fmt.Errorf("--otlp-sampling-ratio: %w", err))
	}
	if f.kubeQPS <= 0 {
		errs = append(errs, fmt.Errorf("--kube-api-qps: expected more than 0, found %g", f.kubeQPS))
	}
	if slices.Contains(o.WatchNamespaces, "") {
		// An empty name means all namespaces to the cache.
		errs = append(errs, errors.New("--watch-namespaces: expected names, found an empty one"))
	}
	return errors.Join(errs...)
}

// loopback reads "<port>", ":<port>" or "<loopback address>:<port>". Nothing else
// is accepted: kubectl port-forward gets there.
func loopback(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = "", text
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("expected a port, or a loopback address and a port, found %q", text)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return "", fmt.Errorf("expected a port, or a loopback address and a port, found %q", text)
	}
	return net.JoinHostPort(host, port), nil
}

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
