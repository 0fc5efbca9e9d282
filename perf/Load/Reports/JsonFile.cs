using System.Text.Json;
using System.Text.Json.Serialization;

namespace ZeroFlow.Perf.Reports;

/// <summary>How every report is written as JSON, and read again.</summary>
internal static class JsonFile
{
    private static readonly JsonSerializerOptions Options = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) },
    };

    public static string Serialize<T>(T report) => JsonSerializer.Serialize(report, Options) + "\n";

    /// <exception cref="JsonException">It lacks something, or is not JSON.</exception>
    public static T Parse<T>(string json) =>
        JsonSerializer.Deserialize<T>(json, Options) ?? throw new JsonException("There is no report.");
}
