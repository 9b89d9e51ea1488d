// Command kube-apiserver is the API server of the development and test
// control plane, as Kubernetes releases it.
package main

import (
	"os"
	// For the time zone of a CronJob: a static binary must not depend on the zone
	// files of the machine.
	_ "time/tzdata"

	"k8s.io/component-base/cli"
	// Registered by import, as in Kubernetes' own main: the JSON log format and
	// the client and version metrics.
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	os.Exit(cli.Run(app.NewAPIServerCommand()))
}
