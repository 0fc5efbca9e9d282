using System.Text.Encodings.Web;
using System.Text.Json;

namespace ZeroFlow.Host.Setup;

/// <summary>What a new configuration says.</summary>
/// <param name="Store">The store's URL.</param>
/// <param name="Data">The data directory, as a full path.</param>
/// <param name="PassphraseFile">The passphrase's file, as a full path; null when it comes from the environment.</param>
/// <param name="Exports">The exports.</param>
internal sealed record NewConfiguration(string Store, string Data, string? PassphraseFile, IReadOnlyList<string> Exports)
{
    private static readonly JsonSerializerOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The file: JSON with comments, which the server reads as they are.</summary>
    public string Write() =>
        $$"""
        // ZeroFlow's configuration, for: zeroflow serve --config FILE. Every key: zeroflow serve --help.
        // No secrets belong here. The credentials of a bucket come from the environment of the server
        // (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), a profile or a role.
        {
          // Where the data lives, encrypted. One server at a time writes to it; the store itself sees to that.
          "Store": {{Quote(Store)}},

          // The local log (wal/) and cache (cache/). What was answered and is not in the store yet is in wal/ only: keep it on
          // a disk whose sync you trust. It needs room for Tuning:WalBytes and Tuning:DiskCacheBytes.
          "Data": {{Quote(Data)}},

        {{PassphraseLines()}}

          // Block devices, made when they are missing: NAME:SIZE[:LEVEL[:write-through]]. Sizes are thin. With the level
          // journaled (the default) a FLUSH is on the local disk; with published it is in the store, at the price of one PUT.
          // Under ZFS with a client on another machine, or with failover, take published:write-through.
          "Exports": [ {{string.Join(", ", Exports.Select(Quote))}} ],

          // The address for NBD clients. NBD has no passwords: beyond this machine, set Tls:Certificate, Tls:Key and
          // Tls:ClientCa as well. Under zeroflow.socket, the socket unit's address counts instead.
          "Listen": "127.0.0.1:10809",

          // Health, readiness, metrics and control.
          "Admin": { "Listen": "127.0.0.1:10810" },

          "Tuning": {
            // How much may wait for the store before writes wait: 4G are 40 s at 100 MB/s.
            "WalBytes": "4G",

            // Reads that need no GET.
            // "DiskCacheBytes": "100G",
            // "MemoryCacheBytes": "2G",
            // Keep every moment of the past readable for that long (serve --as-of).
            // "Retention": "24h",
          },
        }

        """;

    private string PassphraseLines() => PassphraseFile is { } file
        ? $"""
             // Readable by the server's user only. LOSING THE PASSPHRASE LOSES THE DATA: keep a copy elsewhere.
             "PassphraseFile": {Quote(file)},
           """
        : """
            // The passphrase is in the environment: ZEROFLOW_PASSPHRASE. LOSING IT LOSES THE DATA: keep a copy elsewhere.
            // "PassphraseFile": "/var/lib/zeroflow/passphrase",
          """;

    private static string Quote(string text) => JsonSerializer.Serialize(text, Json);
}
