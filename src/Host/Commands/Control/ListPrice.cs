using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Host.Commands.Control;

/// <summary>
/// What requests cost at the list price of S3 Standard in us-east-1 (AWS, "Amazon S3 pricing"). Other places and other
/// vendors differ, by little or altogether: it is a measure for comparing, not a bill.
/// </summary>
internal static class ListPrice
{
    /// <summary>US dollars for a PUT or LIST.</summary>
    public const double Put = 0.005 / 1000;

    /// <summary>US dollars for a GET.</summary>
    public const double Get = 0.0004 / 1000;

    /// <summary>US dollars for one request; a DELETE costs nothing.</summary>
    public static double Of(ObjectRequestKind kind) => kind switch
    {
        ObjectRequestKind.Create or ObjectRequestKind.Write or ObjectRequestKind.List => Put,
        ObjectRequestKind.Get or ObjectRequestKind.Range => Get,
        _ => 0,
    };
}
