using System.Text.Json;
using System.Text.Json.Serialization;

namespace ZeroFlow.Perf.Reports;

/// <summary>How every report is written as JSON.</summary>
internal static class JsonFile
{
    private static readonly JsonSerializerOptions Options = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) },
    };

    public static string Serialize<T>(T report) => JsonSerializer.Serialize(report, Options) + "\n";
}
