package api

import "strings"

// How often, how long, and with which credentials.

const intervalForm = "interval must be a duration between 5s and 168h, such as 5m or 1h30m"

var intervals = table{
	"absent":        {},
	"null":          {edits: edits(set("interval", nil))},
	"minutes":       {edits: edits(set("interval", "10m"))},
	"two units":     {edits: edits(set("interval", "1h30m"))},
	"as Go says it": {edits: edits(set("interval", "5m0s"))},
	"fraction":      {edits: edits(set("interval", "1.5h"))},
	"milliseconds":  {edits: edits(set("interval", "5000ms"))},
	"shortest":      {edits: edits(set("interval", "5s"))},
	"longest":       {edits: edits(set("interval", "168h"))},
	"most letters":  {edits: edits(set("interval", strings.Repeat("1m", 16)))},
	"number":        {edits: edits(set("interval", 300)), refused: "interval", says: "must be of type string"},
	"empty":         {edits: edits(set("interval", "")), refused: "interval", says: intervalForm},
	"no unit":       {edits: edits(set("interval", "300")), refused: "interval", says: intervalForm},
	"zero":          {edits: edits(set("interval", "0s")), refused: "interval", says: intervalForm},
	"bare zero":     {edits: edits(set("interval", "0")), refused: "interval", says: intervalForm},
	"negative":      {edits: edits(set("interval", "-5m")), refused: "interval", says: intervalForm},
	"too short":     {edits: edits(set("interval", "4999ms")), refused: "interval", says: intervalForm},
	"too long":      {edits: edits(set("interval", "168h1s")), refused: "interval", says: intervalForm},
	"overflow":      {edits: edits(set("interval", "999999999h")), refused: "interval", says: intervalForm},
	"days":          {edits: edits(set("interval", "1d")), refused: "interval", says: intervalForm},
	"space":         {edits: edits(set("interval", "5 m")), refused: "interval", says: intervalForm},
	"words":         {edits: edits(set("interval", "5min")), refused: "interval", says: intervalForm},
	"ISO 8601":      {edits: edits(set("interval", "PT5M")), refused: "interval", says: intervalForm},
	"cron":          {edits: edits(set("interval", "*/5 * * * *")), refused: "interval", says: intervalForm},
	"sign":          {edits: edits(set("interval", "+5m")), refused: "interval", says: intervalForm},
	"no digit":      {edits: edits(set("interval", ".5h")), refused: "interval", says: intervalForm},
	"microseconds":  {edits: edits(set("interval", "5m1us")), refused: "interval", says: intervalForm},
	"line break":    {edits: edits(set("interval", "5m\n")), refused: "interval", says: intervalForm},
}

const timeoutForm = "timeout must be a duration between 1s and 10m, such as 1m"

var timeouts = table{
	"absent":       {},
	"null":         {edits: edits(set("timeout", nil))},
	"seconds":      {edits: edits(set("timeout", "30s"))},
	"shortest":     {edits: edits(set("timeout", "1s"))},
	"longest":      {edits: edits(set("timeout", "10m"))},
	"most letters": {edits: edits(set("timeout", strings.Repeat("1s", 16)))},
	"number":       {edits: edits(set("timeout", 60)), refused: "timeout", says: "must be of type string"},
	"empty":        {edits: edits(set("timeout", "")), refused: "timeout", says: timeoutForm},
	"no unit":      {edits: edits(set("timeout", "60")), refused: "timeout", says: timeoutForm},
	"zero":         {edits: edits(set("timeout", "0s")), refused: "timeout", says: timeoutForm},
	"negative":     {edits: edits(set("timeout", "-1m")), refused: "timeout", says: timeoutForm},
	"too short":    {edits: edits(set("timeout", "999ms")), refused: "timeout", says: timeoutForm},
	"too long":     {edits: edits(set("timeout", "10m1ms")), refused: "timeout", says: timeoutForm},
	"overflow":     {edits: edits(set("timeout", "999999999h")), refused: "timeout", says: timeoutForm},
	"sign":         {edits: edits(set("timeout", "+1m")), refused: "timeout", says: timeoutForm},
	"microseconds": {edits: edits(set("timeout", "1m1us")), refused: "timeout", says: timeoutForm},
	"infinite":     {edits: edits(set("timeout", "inf")), refused: "timeout", says: timeoutForm},
}

var credentials = table{
	"absent":       {},
	"null":         {edits: edits(set("secretRef", nil))},
	"name":         {edits: edits(set("secretRef", map[string]any{"name": "registry"}))},
	"longest name": {edits: edits(set("secretRef", map[string]any{"name": strings.Repeat("a", 253)}))},
	"no name":      {edits: edits(set("secretRef", map[string]any{})), refused: "secretRef.name", says: "Required value"},
	"null name":    {edits: edits(set("secretRef", map[string]any{"name": nil})), refused: "secretRef.name", says: "Required value"},
	"empty name":   {edits: edits(set("secretRef", map[string]any{"name": ""})), refused: "secretRef.name", says: "should be at least 1 chars long"},
	"bare name":    {edits: edits(set("secretRef", "registry")), refused: "secretRef", says: "must be of type object"},
}

var switches = table{
	"both on":              {edits: edits(set("suspend", true), set("insecure", true))},
	"both off":             {edits: edits(set("suspend", false), set("insecure", false))},
	"suspend in quotes":    {edits: edits(set("suspend", "true")), refused: "suspend", says: "must be of type boolean"},
	"insecure in quotes":   {edits: edits(set("insecure", "true")), refused: "insecure", says: "must be of type boolean"},
	"all on":               {edits: edits(set("immutableVersions", true), set("allowDowngrade", true))},
	"all off":              {edits: edits(set("immutableVersions", false), set("allowDowngrade", false))},
	"mutable in quotes":    {edits: edits(set("immutableVersions", "false")), refused: "immutableVersions", says: "must be of type boolean"},
	"downgrades in quotes": {edits: edits(set("allowDowngrade", "true")), refused: "allowDowngrade", says: "must be of type boolean"},
	"insecure as a number": {edits: edits(set("insecure", 1)), refused: "insecure", says: "must be of type boolean"},
}
