using System.Globalization;
using System.Net;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Pipeline.Device;

namespace ZeroFlow.Host.Serving;

/// <summary>What somebody who has just started the embedded default needs to know next.</summary>
internal static class FirstSteps
{
    /// <summary>The text, with the addresses that are really listened on.</summary>
    public static string Describe(
        EmbeddedDefault embedded, IReadOnlyList<ExportInfo> exports, IPEndPoint? nbd, string metrics)
    {
        ExportInfo? export = exports.Count > 0 ? exports[0] : null;
        string name = export?.Name ?? EmbeddedDefault.FirstExport.Name;
        string size = Quantities.FormatSize(export?.SizeBytes ?? EmbeddedDefault.FirstExport.SizeBytes);
        IPEndPoint address = nbd ?? new IPEndPoint(IPAddress.Loopback, 10809);
        string port = address.Port.ToString(CultureInfo.InvariantCulture);
        string url = $"nbd://{address}/{name}";
        return $"""

            ZeroFlow serves the block device {name} of {size}.

              device       {url}
              data         {embedded.BaseDirectory}
                           (store/ is the object store, data/ the local log and cache: keep both)
              passphrase   {embedded.PassphraseFile}
                           (everything is encrypted with it: lose it and the data is lost, so keep a copy)
              live view    {LiveView(metrics)}
              metrics      {metrics}, beside /healthz and /readyz

            Look at it     nbdinfo {url}
            Try it         qemu-io -f raw -c 'write -P 7 0 1M' -c flush -c 'read -P 7 0 1M' {url}
            Attach it      sudo modprobe nbd
                           sudo nbd-client -N {name} {address.Address} {port} /dev/nbd0
                           sudo mkfs.ext4 /dev/nbd0 && sudo mount /dev/nbd0 /mnt
            Detach it      sudo umount /mnt && sudo nbd-client -d /dev/nbd0
            Manage it      zeroflow export ls, snapshot, clone, stats (see zeroflow --help)
            Use a bucket   zeroflow serve --help
            Stop it        Ctrl+C


            """;
    }

    // A Unix socket is nothing that a browser opens.
    private static string LiveView(string metrics) =>
        metrics.StartsWith("http:", StringComparison.Ordinal) ? $"{metrics[..^"metrics".Length]} in a browser, or zeroflow top" : "zeroflow top";
}
