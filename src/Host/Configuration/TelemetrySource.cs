using System.Globalization;

namespace ZeroFlow.Host.Configuration;

/// <summary>Reads where metrics and traces go besides /metrics.</summary>
internal sealed class TelemetrySource(SettingLayers layers, ServeInputs inputs, ConfigurationErrors errors)
{
    /// <summary>The variable by which OpenTelemetry's own rules name the endpoint.</summary>
    public const string Variable = "OTEL_EXPORTER_OTLP_ENDPOINT";

    private const int OneInDefault = 1000;

    /// <summary>True when an endpoint is named, by the setting or by the variable.</summary>
    public bool IsOn => layers.Find(SettingKeys.OtlpEndpoint) is not null || inputs.Environment[Variable] is string { Length: > 0 };

    /// <summary>The endpoint of the setting, which wins over the variable; null without.</summary>
    public Uri? ReadEndpoint()
    {
        if (layers.Find(SettingKeys.OtlpEndpoint) is not { } setting) return null;
        if (Uri.TryCreate(setting.Value, UriKind.Absolute, out Uri? endpoint) && endpoint.Scheme is "http" or "https" && endpoint.UserInfo.Length == 0)
            return endpoint;
        errors.Add(setting, SettingKeys.OtlpEndpoint, "the base URL of an OTLP receiver over HTTP, such as http://127.0.0.1:4318");
        return null;
    }

    /// <summary>One request in so many is traced.</summary>
    public int ReadOneIn()
    {
        if (layers.Find(SettingKeys.TraceOneIn) is not { } setting) return OneInDefault;
        if (int.TryParse(setting.Value, NumberStyles.None, CultureInfo.InvariantCulture, out int oneIn)) return oneIn;
        errors.Add(setting, SettingKeys.TraceOneIn, "a whole number: one request in so many is traced, 0 for none");
        return OneInDefault;
    }
}
