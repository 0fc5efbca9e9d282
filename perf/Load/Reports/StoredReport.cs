using System.Text.Json;
using ZeroFlow.Perf.Latency;
using ZeroFlow.Perf.Pgbench;
using ZeroFlow.Perf.Replay;

namespace ZeroFlow.Perf.Reports;

/// <summary>Reads reports that were written before, whichever comparison they are of.</summary>
internal static class StoredReport
{
    /// <exception cref="FormatException">It is no report of this tool.</exception>
    public static IReport Parse(string json)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object) throw new FormatException("A report is a JSON object.");
            if (root.TryGetProperty("sigma", out _)) return JsonFile.Parse<S3Report>(json);
            if (root.TryGetProperty("settings", out var settings) && settings.ValueKind == JsonValueKind.Object)
            {
                if (settings.TryGetProperty("base", out _)) return JsonFile.Parse<CompareReport>(json);
                if (settings.TryGetProperty("speed", out _)) return JsonFile.Parse<ReplayReport>(json);
                if (settings.TryGetProperty("scales", out _)) return JsonFile.Parse<PgbenchReport>(json);
            }

            throw new FormatException("It is not a report of compare, compare-replay, compare-s3 or compare-pgbench.");
        }
        catch (JsonException wrong)
        {
            throw new FormatException(wrong.Message, wrong);
        }
    }
}
